/** live: a reload brings it to the running gateway. restart: read at the start only. */
export type TakesEffect = "live" | "restart"

/**
 * Every setting by its path; `policy` and `hardware` are replaced as a whole. A test compares this with the schema.
 * What takes a restart: where something listens and what is opened once (the cluster, the snapshot's file, the watching
 * of the file itself); `limits.podsMax`, by which the columns of the pod table, the row masks and every policy are
 * sized; `metrics.llmdAliases`, since a metric that begins late tells wrong totals; and the emulator.
 */
export const takesEffect: Readonly<Record<string, TakesEffect>> = {
  "listen.hostname": "restart",
  "listen.port": "restart",
  "listen.tls.certPath": "live",
  "listen.tls.keyPath": "live",
  "listen.metrics": "live",
  "extproc.listen.hostname": "restart",
  "extproc.listen.port": "restart",
  "extproc.tls": "restart",
  "extproc.certPath": "restart",
  "extproc.keyPath": "restart",
  "extproc.healthPort": "restart",
  "extproc.healthService": "live",
  "extproc.fallbacks": "live",
  "extproc.messageBytesMax": "live",
  "extproc.openStreamsMax": "live",
  "extproc.pingEvery": "live",
  "admin.enabled": "restart",
  "admin.hostname": "restart",
  "admin.port": "restart",
  "auth.keys": "live",
  "auth.keysPath": "live",
  "auth.insecure": "live",
  "podAccess.tokenVariable": "live",
  "podAccess.tokenPath": "live",
  "podAccess.tokenPaths": "live",
  "podAccess.caPath": "live",
  "podAccess.certPath": "live",
  "podAccess.keyPath": "live",
  pods: "live",
  "discovery.file.path": "live",
  "discovery.file.poll": "live",
  "discovery.dns.name": "live",
  "discovery.dns.port": "live",
  "discovery.dns.srv": "live",
  "discovery.dns.interval": "live",
  "discovery.dns.tls": "live",
  "discovery.kubernetes": "restart",
  "scrape.interval": "live",
  "scrape.retryAfter": "live",
  "scrape.timeout": "live",
  "scrape.failuresBeforeUnhealthy": "live",
  "scrape.awayPerSecond": "live",
  "scrape.pageBytesMax": "live",
  "scrape.modelsEveryScrapes": "live",
  policy: "live",
  hardware: "live",
  "models.aliases": "live",
  "models.initialOutputTokens": "live",
  "prefix.entriesMax": "live",
  "waiting.enabled": "live",
  "waiting.requestsMax": "live",
  "waiting.bytesMax": "live",
  "waiting.timeout": "live",
  "waiting.ttftTarget": "live",
  "waiting.overloadAfter": "live",
  "waiting.yieldFor": "live",
  "waiting.podlessTimeout": "live",
  "waiting.patience": "live",
  "waiting.podQueueMax": "live",
  "waiting.giantTokens": "live",
  "waiting.objectives": "live",
  "waiting.bands": "live",
  "waiting.priorityHeader": "live",
  "waiting.flowHeader": "live",
  "breaker.failuresInRow": "live",
  "breaker.failureRatio": "live",
  "breaker.requestsMin": "live",
  "breaker.window": "live",
  "breaker.openMin": "live",
  "breaker.openMax": "live",
  "breaker.probeTimeout": "live",
  "breaker.slowStart": "live",
  "breaker.stallAfter": "live",
  "rescue.enabled": "live",
  "rescue.attemptsMax": "live",
  "rescue.streamBytesMax": "live",
  "rescue.bytesMax": "live",
  "limits.openRequestsMax": "live",
  "limits.bodyBytesMax": "live",
  "limits.requestBytesMax": "live",
  "limits.multipartBytesMax": "live",
  "limits.multipartMemoryMax": "live",
  "limits.spooledBytesMax": "live",
  "limits.openRequestsPerKeyMax": "live",
  "limits.keysMax": "live",
  "limits.headersMax": "live",
  "limits.headerBytesMax": "live",
  "limits.urlCharsMax": "live",
  "limits.jsonDepthMax": "live",
  "limits.clientIdleTimeout": "live",
  "limits.clientStallTimeout": "live",
  "limits.secretsPoll": "restart",
  "limits.bodyReadTimeout": "live",
  "limits.mailboxCapacity": "live",
  "limits.askDeadline": "live",
  "limits.podsMax": "restart",
  "limits.modelsMax": "live",
  "limits.retriesMax": "live",
  "limits.retryShare": "live",
  "limits.retryBurst": "live",
  "limits.connectionsPerPodMax": "live",
  "limits.idleConnectionsPerPodMax": "live",
  "limits.upstreamIdleMax": "live",
  "limits.connectTimeout": "live",
  "limits.firstByteTimeout": "live",
  "limits.silenceTimeout": "live",
  "limits.lostPodGrace": "live",
  "limits.requestTimeout": "live",
  "limits.podDrainGrace": "live",
  "limits.shutdownDelay": "live",
  "limits.shutdownGrace": "live",
  "reload.watch": "restart",
  "reload.poll": "restart",
  "snapshot.enabled": "restart",
  "snapshot.path": "restart",
  "snapshot.interval": "live",
  "decisionLog.sampleRate": "live",
  "decisionLog.path": "live",
  "decisionLog.bytesMax": "live",
  "decisionLog.blockHashes": "live",
  "answers.podHeader": "live",
  "answers.sessionHeader": "live",
  "answers.sessionTokens": "live",
  "answers.sessionSecretsPath": "live",
  "answers.sessionSecretsVariable": "live",
  "metrics.llmdAliases": "restart",
  "log.level": "live",
  "log.format": "live",
  "emulator.pods": "restart",
  "emulator.hardware": "restart",
  "emulator.speed": "restart",
  "emulator.model": "restart"
}

/** Sections whose settings are live, but that begin and end with a start: a port speaks TLS or does not. */
const begunAtStart: ReadonlySet<string> = new Set(["listen.tls"])

/** Whether the section would have to begin or end while the gateway runs. */
export const beginsOrEnds = (path: ReadonlyArray<string>, before: unknown, after: unknown): boolean =>
  begunAtStart.has(path.join(".")) && (before === undefined) !== (after === undefined)

/** Settings whose value is never shown, list positions left out. */
const secrets: ReadonlySet<string> = new Set(["auth.keys.hash"])

export const isSecret = (path: ReadonlyArray<string>): boolean => secrets.has(path.join("."))

/** Of the setting, or of the section or list that it lies in; undefined for a section that has both kinds. */
export const whenTaken = (path: ReadonlyArray<string>): TakesEffect | undefined => {
  for (let length = path.length; length > 0; length--) {
    const found = takesEffect[path.slice(0, length).join(".")]
    if (found !== undefined) return found
  }
  return undefined
}
