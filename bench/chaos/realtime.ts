import { readFileSync } from "node:fs"
import { output } from "../Process.ts"

/** Index of the scheduling policy among the fields of `/proc/PID/stat` behind the command's parenthesis. */
const POLICY_FIELD = 38
const ROUND_ROBIN = "2"

/** This bench runs before everybody else, by `chrt -r`. */
const isRealtime = (): boolean => {
  const stat = readFileSync("/proc/self/stat", "utf8")
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[POLICY_FIELD] === ROUND_ROBIN
}

/** The command with an ordinary priority: a real-time one that starts takes its core for 100 ms from those that run. */
export const startedGently = (argv: ReadonlyArray<string>): ReadonlyArray<string> =>
  isRealtime() ? ["chrt", "-o", "0", ...argv] : argv

/** Once it has started it may have the priority of the bench. */
export const promoted = async (pid: number): Promise<void> => {
  if (isRealtime()) await output(["chrt", "-a", "-r", "-p", "1", String(pid)])
}
