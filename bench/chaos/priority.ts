import { readFileSync } from "node:fs"
import { output } from "../Process.ts"

/** Indexes among the fields of `/proc/PID/stat` behind the command's parenthesis. */
const PRIORITY_FIELD = 37
const POLICY_FIELD = 38
const ROUND_ROBIN = "2"

/** Of this bench when it runs before everybody else, by `chrt -r`; undefined: it does not. */
const realtimePriority = (): string | undefined => {
  const stat = readFileSync("/proc/self/stat", "utf8")
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return fields[POLICY_FIELD] === ROUND_ROBIN ? fields[PRIORITY_FIELD] : undefined
}

/** The command with an ordinary priority: a real-time one that starts takes its core for 100 ms from those that run. */
export const startedGently = (argv: ReadonlyArray<string>): ReadonlyArray<string> =>
  realtimePriority() === undefined ? argv : ["chrt", "-o", "0", ...argv]

/** Once it has started it may have the priority of the bench. */
export const promoted = async (pid: number): Promise<void> => {
  const priority = realtimePriority()
  if (priority !== undefined) await output(["chrt", "-a", "-r", "-p", priority, String(pid)])
}
