/** live: a reload brings it to the running gateway. restart: read at the start only. */
export type TakesEffect = "live" | "restart"

/** Every setting by its path; `policy` and `hardware` are replaced as a whole. A test compares this with the schema. */
export const takesEffect: Readonly<Record<string, TakesEffect>> = {
  "listen.hostname": "restart",
  "listen.port": "restart",
  "listen.tls.certPath": "live",
  "listen.tls.keyPath": "live",
  "listen.metrics": "restart",
  "admin.enabled": "restart",
  "admin.hostname": "restart",
  "admin.port": "restart",
  "auth.keys": "live",
  "auth.keysPath": "live",
  "auth.insecure": "restart",
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
  "scrape.interval": "live",
  "scrape.timeout": "live",
  "scrape.failuresBeforeUnhealthy": "live",
  "scrape.pageBytesMax": "restart",
  "scrape.modelsEveryScrapes": "live",
  policy: "live",
  hardware: "live",
  "models.aliases": "live",
  "models.initialOutputTokens": "restart",
  "prefix.entriesMax": "restart",
  "breaker.failureRate": "restart",
  "limits.openRequestsMax": "restart",
  "limits.bodyBytesMax": "restart",
  "limits.requestBytesMax": "restart",
  "limits.openRequestsPerKeyMax": "restart",
  "limits.keysMax": "live",
  "limits.headersMax": "live",
  "limits.headerBytesMax": "live",
  "limits.urlCharsMax": "live",
  "limits.jsonDepthMax": "live",
  "limits.clientIdleTimeout": "restart",
  "limits.secretsPoll": "restart",
  "limits.bodyReadTimeout": "live",
  "limits.mailboxCapacity": "restart",
  "limits.askDeadline": "restart",
  "limits.podsMax": "restart",
  "limits.modelsMax": "restart",
  "limits.retriesMax": "live",
  "limits.retryShare": "live",
  "limits.retriesPerSecondMin": "live",
  "limits.connectionsPerPodMax": "live",
  "limits.idleConnectionsPerPodMax": "live",
  "limits.upstreamIdleMax": "live",
  "limits.connectTimeout": "live",
  "limits.firstByteTimeout": "live",
  "limits.silenceTimeout": "live",
  "limits.requestTimeout": "live",
  "limits.podDrainGrace": "live",
  "limits.shutdownDelay": "live",
  "limits.shutdownGrace": "live",
  "reload.watch": "restart",
  "reload.poll": "restart",
  "snapshot.enabled": "restart",
  "snapshot.path": "restart",
  "snapshot.interval": "restart",
  "decisionLog.sampleRate": "restart",
  "decisionLog.path": "restart",
  "decisionLog.bytesMax": "restart",
  "decisionLog.blockHashes": "restart",
  "answers.podHeader": "live",
  "log.level": "restart",
  "log.format": "restart",
  "emulator.pods": "restart",
  "emulator.hardware": "restart",
  "emulator.speed": "restart",
  "emulator.model": "restart"
}

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
