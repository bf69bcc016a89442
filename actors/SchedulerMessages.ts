import type { EngineConstants } from "../src/core/EngineConstants.ts"
import type { PickExplanation } from "../src/core/Explanation.ts"
import type { LoraActivity } from "../src/core/LoraActivity.ts"
import type { PodAddress, PodId } from "../src/core/Pod.ts"
import type { SavedSketch } from "../src/core/prefix/PodSketches.ts"
import type { Policy } from "../src/core/Policy.ts"
import type { RequestFeatures } from "../src/core/RequestFeatures.ts"
import type { GatewayError } from "../src/errors.ts"
import type { ActorCrashed } from "./runtime/errors.ts"
import type { Reply } from "./runtime/Reply.ts"
import type { Decision, PodFailure, RequestEnd } from "./SchedulerPort.ts"
import type { SchedulerActorSettings } from "./SchedulerSettings.ts"

/** A sketch as it goes to disk. */
export interface SketchExport extends SavedSketch {
  readonly id: PodId
}

/** Ask: reserve the cheapest pod. */
export interface PickPod {
  readonly _tag: "PickPod"
  readonly request: RequestFeatures
  readonly excluded: ReadonlyArray<string>
  readonly reply: Reply<Decision, GatewayError>
}

/** The client of a pick left, which may be waiting for room. The features name it. */
export interface PickCancelled {
  readonly _tag: "PickCancelled"
  readonly request: RequestFeatures
}

/** Time went by for requests that wait for room. */
export interface WaitingTick {
  readonly _tag: "WaitingTick"
}

/** The operator set other bounds, times or breakers. */
export interface SettingsReplaced {
  readonly _tag: "SettingsReplaced"
  readonly settings: SchedulerActorSettings
}

/** Ask: what a pick would do now and why; reserves nothing. */
export interface ExplainPick {
  readonly _tag: "ExplainPick"
  readonly request: RequestFeatures
  readonly reply: Reply<PickExplanation, ActorCrashed>
}

/** Facts from the front ends. */
export interface FirstTokenSeen {
  readonly _tag: "FirstTokenSeen"
  readonly reservation: number
}
export interface RequestEnded {
  readonly _tag: "RequestEnded"
  readonly reservation: number
  readonly end: RequestEnd
}
/** A request that we sent to the pod failed there. */
export interface PodFailed {
  readonly _tag: "PodFailed"
  readonly id: PodId
  readonly failure: PodFailure
}

/** There are actors that can ask all pods for their models at once. Sent by the pool before any pod joins. */
export interface PoolStarted {
  readonly _tag: "PoolStarted"
  readonly askForModels: () => void
}

/** Facts from pod actors. PodJoined comes first for a pod, and again when its labels change; PodLeft comes last. */
export interface PodJoined {
  readonly _tag: "PodJoined"
  readonly address: PodAddress
  readonly constants: EngineConstants
  /** From the snapshot: what the pod held when the gateway stopped. */
  readonly restored: SketchExport | undefined
}
/** The pod said what it is; sent on the first scrape and whenever any of it changes. */
export interface PodDescribed {
  readonly _tag: "PodDescribed"
  readonly id: PodId
  readonly blockSizeTokens: number
  readonly kvCapacityTokens: number
  /** Model ids it serves, LoRA adapters among them. */
  readonly models: ReadonlyArray<string>
  /** The most tokens that one request may have there, prompt and output; undefined while it does not say. */
  readonly contextTokensMax?: number | undefined
}
/** One scrape, or a change of health without one (then the last known numbers). */
export interface PodObserved {
  readonly _tag: "PodObserved"
  readonly id: PodId
  readonly accepting: boolean
  /** It answers no question about itself, so it gets requests only where no other pod can take them. */
  readonly strained?: boolean | undefined
  readonly running: number
  readonly waiting: number
  readonly kvUsage: number
  readonly lora?: LoraActivity | undefined
}
/** Its process started anew: cache and everything in flight there are gone. */
export interface PodRestarted {
  readonly _tag: "PodRestarted"
  readonly id: PodId
}
export interface PodLeft {
  readonly _tag: "PodLeft"
  readonly id: PodId
}
/** The operator corrected how fast the pod is. */
export interface PodRecalibrated {
  readonly _tag: "PodRecalibrated"
  readonly id: PodId
  readonly constants: EngineConstants
}

/** The operator chose another policy, built for as many pods as the table has rows. */
export interface PolicyReplaced {
  readonly _tag: "PolicyReplaced"
  readonly policy: Policy
}

/** Ask: the sketches of some pods, for a snapshot. Unknown pods are left out. */
export interface ExportSketches {
  readonly _tag: "ExportSketches"
  readonly ids: ReadonlyArray<PodId>
  readonly reply: Reply<ReadonlyArray<SketchExport>, never>
}
/** Ask: expected output lengths by model, for a snapshot. */
export interface ExportOutputLengths {
  readonly _tag: "ExportOutputLengths"
  readonly reply: Reply<Readonly<Record<string, number>>, never>
}

/** What changes the fleet or how it is used. */
export type FleetFact =
  | PodFailed
  | PodJoined
  | PodDescribed
  | PodObserved
  | PodRestarted
  | PodLeft
  | PodRecalibrated
  | PolicyReplaced

export type SchedulerMessage =
  | FleetFact
  | PickPod
  | PickCancelled
  | WaitingTick
  | SettingsReplaced
  | PoolStarted
  | ExplainPick
  | FirstTokenSeen
  | RequestEnded
  | ExportSketches
  | ExportOutputLengths
