import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { getPriority, setPriority } from "node:os"
import { output } from "../Process.ts"

/** Index of the scheduling policy among the fields of `/proc/PID/stat` behind the command's parenthesis. */
const POLICY_FIELD = 38
const ROUND_ROBIN = "2"
const FIRST = -20
/** Nine tenths of a core go to those that run. */
const GENTLER = 10
const AUTOGROUP = "/proc/self/autogroup"

const isRealtime = (): boolean => {
  const stat = readFileSync("/proc/self/stat", "utf8")
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[POLICY_FIELD] === ROUND_ROBIN
}

const mayGoFirst = (): boolean => process.getuid?.() === 0

/**
 * This process and its children before everybody else, when it was started so, by `nice` or by `chrt`; the returned
 * function ends that for what else runs in its session. Real-time processes of one core wait up to 100 ms for each
 * other, and once a second 50 ms for the rest of the machine, so it is not one of them: ordinary ones wait 3 ms.
 */
export const takePriority = async (): Promise<() => void> => {
  const wasRealtime = isRealtime()
  if (wasRealtime) {
    await output(["chrt", "-a", "-o", "-p", "0", String(process.pid)])
    setNice(process.pid, FIRST)
  }
  if (getPriority() >= 0 || !mayGoFirst() || !existsSync(AUTOGROUP)) return () => {}
  // Linux weighs sessions against each other first, then the processes of one.
  writeFileSync(AUTOGROUP, String(getPriority()))
  return () => writeFileSync(AUTOGROUP, "0")
}

/** The command behind those that run, where it can be brought level with them later. */
export const startedGently = (argv: ReadonlyArray<string>): ReadonlyArray<string> =>
  mayGoFirst() ? ["nice", "-n", String(GENTLER), ...argv] : argv

/** Level with this process from now on. */
export const levelled = (pid: number): void => {
  if (mayGoFirst()) setNice(pid, getPriority())
}

const setNice = (pid: number, nice: number): void => {
  for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), nice)
}
