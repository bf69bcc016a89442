import { Data } from "effect"

/** One thing that is wrong with the configuration, and what to do about it. */
export interface ConfigIssue {
  /** Where it was written: `gateway.yaml:4:3`, `--pods`, `WARMROUTE_PODS`. */
  readonly source: string
  /** Path of the setting, `scrape.interval` or `pods[1].url`; undefined when the source as a whole is wrong. */
  readonly key: string | undefined
  /** A sentence that goes on from the key. */
  readonly problem: string
  /** A sentence of its own. */
  readonly fix?: string | undefined
}

/** The configuration can't be used. Everything that is wrong is in one error, so that one look at it is enough. */
export class ConfigError extends Data.TaggedError("ConfigError")<{ readonly issues: ReadonlyArray<ConfigIssue> }> {
  override get message(): string {
    return this.render()
  }

  /** One line for each thing that is wrong, without a trailing line break. */
  render(): string {
    const lines = this.issues.map(renderIssue)
    return lines.length === 1
      ? `${lines[0]}`
      : `${lines.length} settings are wrong:\n${lines.map((line) => `  - ${line}`).join("\n")}`
  }
}

const renderIssue = ({ source, key, problem, fix }: ConfigIssue): string => {
  const where = key === undefined || key === "" ? source : `${source}: ${key}`
  const colon = /^(is|has|does|repeats) /.test(problem) ? "" : ":"
  return `${where}${colon} ${problem}.${fix === undefined ? "" : ` ${fix}`}`
}
