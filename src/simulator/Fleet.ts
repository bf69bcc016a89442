import type { EngineConstants } from "../core/EngineConstants.ts"

/** One pod: what its engine is, and what the scheduler takes it for. */
export interface FleetPod {
  readonly engine: EngineConstants
  /** Speeds that the scheduler is configured with; it learns the KV capacity from the pod. */
  readonly believed: EngineConstants
  /** 0: there from the start. */
  readonly joinsAtS: number
  /** The process dies, with all that it was doing… */
  readonly diesAtS?: number | undefined
  /** …and another one serves from then on, with an empty cache. */
  readonly returnsAtS?: number | undefined
}

/** The pods of a run and the gateways in front of them. */
export interface Fleet {
  readonly pods: ReadonlyArray<FleetPod>
  /** Each request goes to any of them, whatever came before. */
  readonly gateways: number
  /** The other gateways hear of a dispatch, a first token and an end so much later; undefined: never. */
  readonly sharedAfterS: number | undefined
}

/** What a fleet is made from. */
export interface FleetOptions {
  readonly pods: number
  readonly constants: EngineConstants
  readonly seed: number
}

/** Equal pods behind one gateway, known as they are. */
export const evenFleet = ({ constants, pods }: FleetOptions): Fleet => fleetOf(pods, () => evenPod(constants))

/** Pods behind one gateway. */
export const fleetOf = (pods: number, podOf: (index: number) => FleetPod): Fleet => ({
  pods: Array.from({ length: pods }, (_, index) => podOf(index)),
  gateways: 1,
  sharedAfterS: undefined
})

export const evenPod = (constants: EngineConstants): FleetPod => ({
  engine: constants,
  believed: constants,
  joinsAtS: 0
})
