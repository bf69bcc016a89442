/** What a pod says of its LoRA adapters. */
export interface LoraActivity {
  /** Adapters that a batch may mix. */
  readonly adaptersMax: number
  readonly running: ReadonlyArray<string>
  readonly waiting: ReadonlyArray<string>
}
