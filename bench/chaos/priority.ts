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

/**
 * The command of a pod, behind client and gateway: eight busy pods would otherwise leave a ninth of a core to the client,
 * which then finds stalls that are its own. Not real-time while it starts, since that takes the core from all others for
 * 100 ms.
 */
export const behindAll = (argv: ReadonlyArray<string>): ReadonlyArray<string> => {
  const behind = ["nice", "-n", "10", ...argv]
  return realtimePriority() === undefined ? behind : ["chrt", "-o", "0", ...behind]
}

/** Once it has started it may be real-time too, where that leaves it behind them. */
export const promoted = async (pid: number): Promise<void> => {
  const priority = Number(realtimePriority() ?? 0)
  if (priority > 1) await output(["chrt", "-a", "-r", "-p", String(priority - 1), String(pid)])
}
