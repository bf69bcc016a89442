import type { Workload, WorkloadOptions } from "../Workload.ts"
import * as b2b from "./b2b.ts"
import * as burst from "./burst.ts"
import * as chat from "./chat.ts"
import * as codegen from "./codegen.ts"
import * as ladder from "./ladder.ts"
import * as mixed from "./mixed.ts"
import * as reason from "./reason.ts"
import * as zipf from "./zipf.ts"

export interface KnownWorkload {
  readonly make: (options: WorkloadOptions) => Workload
  /** What `load` counts, and what it is when nobody says. */
  readonly load: string
  readonly defaultLoad: number
}

/** Every generated workload by name. */
export const workloads: ReadonlyMap<string, KnownWorkload> = new Map([
  [ladder.name, { make: ladder.make, load: "times the published rates", defaultLoad: 1 }],
  [b2b.name, { make: b2b.make, load: "requests a second", defaultLoad: 16 }],
  [zipf.name, { make: zipf.make, load: "requests a second", defaultLoad: 30 }],
  [burst.name, { make: burst.make, load: "requests a second", defaultLoad: 20 }],
  [chat.name, { make: chat.make, load: "requests a second", defaultLoad: 40 }],
  [mixed.name, { make: mixed.make, load: "requests a second", defaultLoad: 12 }],
  [codegen.name, { make: codegen.make, load: "agents at once", defaultLoad: 40 }],
  [reason.name, { make: reason.make, load: "users at once", defaultLoad: 100 }]
])
