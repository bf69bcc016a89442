import type { PoolView } from "../../actors/PoolView.ts"
import type { ExtProcServer } from "../../src/extproc/serveExtProc.ts"
import type { FrontServer } from "../../src/http/serveFront.ts"
import type { WatchedLimit } from "../../src/telemetry/limitMetrics.ts"
import type { GatewayConfig } from "../GatewayConfig.ts"

/** Bounds that hold requests back, each by the name of its setting. */
export const limitsInUse = (running: () => GatewayConfig, { front, mailbox, picker, poolView, room }: {
  readonly front: FrontServer
  readonly picker: ExtProcServer | undefined
  readonly room: { readonly count: number; readonly bytes: number }
  readonly mailbox: { readonly depth: () => number }
  readonly poolView: PoolView
}) =>
(): Readonly<Record<string, WatchedLimit>> => {
  const { extproc, limits, rescue, waiting } = running()
  const { disk, memory, rescue: forRescue } = front.heldBytes()
  return {
    "limits.openRequestsMax": { used: front.openRequests(), max: limits.openRequestsMax },
    "limits.requestBytesMax": { used: memory, max: limits.requestBytesMax },
    "limits.spooledBytesMax": { used: disk, max: limits.spooledBytesMax },
    "limits.mailboxCapacity": { used: mailbox.depth(), max: limits.mailboxCapacity },
    "limits.podsMax": { used: poolView.pods().length, max: limits.podsMax },
    "rescue.bytesMax": { used: forRescue, max: rescue.bytesMax },
    "waiting.requestsMax": { used: room.count, max: waiting.requestsMax },
    "waiting.bytesMax": { used: room.bytes, max: waiting.bytesMax },
    ...(picker === undefined
      ? {}
      : { "extproc.openStreamsMax": { used: picker.openRequests(), max: extproc.openStreamsMax } })
  }
}
