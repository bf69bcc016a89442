/**
 * Saves into the folder named on the command line, which takes about 1 MiB, and goes on after that is full. Prints as
 * JSON what became of each step: a save, or the generations that the next start would find.
 */
import { appendFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { SnapshotFile } from "../../src/storage/SnapshotFile.ts"
import { fileOptions, generation } from "./generations.ts"

const directory = process.argv[2] ?? ""
const few = (number: number) => generation(number).slice(0, 3)
const large = generation(2).map((pod) => Object.assign({}, pod, { body: new Uint8Array(200_000).fill(2) }))

const attempt = (act: () => void): string => {
  try {
    act()
    return "saved"
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause)
  }
}

/** -1 for a record that is not as it was written. */
const found = (path: string): ReadonlyArray<number> => {
  const file = new SnapshotFile(fileOptions(path))
  const { damagedIds, pods } = file.load()
  file.close()
  const generations = pods.map(({ body, savedAtMs }) => body.every((byte) => byte === savedAtMs) ? savedAtMs : -1)
  return [...generations, ...damagedIds.map(() => -1), ...file.takeWarnings().map(() => -1)]
}

/** A life that begins with room, meets the end of it, and goes on. */
const filling = (path: string): ReadonlyArray<unknown> => {
  const file = new SnapshotFile(fileOptions(path))
  const saves = [few(1), large, few(3)].map((pods) => attempt(() => file.save(pods, undefined)))
  file.close()
  return [...saves, found(path)]
}

/** A life that begins without any. */
const full = (path: string): ReadonlyArray<unknown> => {
  const filler = join(directory, "filler")
  const filled = attempt(() => {
    for (;;) appendFileSync(filler, new Uint8Array(4096))
  })
  const file = new SnapshotFile(fileOptions(path))
  const refused = [file.load().pods.length, attempt(() => file.save(few(4), undefined))]
  rmSync(filler)
  const saved = attempt(() => file.save(few(5), undefined))
  file.close()
  return [/ENOSPC/.exec(filled)?.[0], ...refused, saved, found(path)]
}

const path = join(directory, "first.sqlite")
const steps = [filling(path)]
for (const suffix of ["", "-wal", "-shm", ".lock"]) rmSync(path + suffix, { force: true })
if (process.argv[3] === "disk") steps.push(full(join(directory, "second.sqlite")))
process.stdout.write(JSON.stringify(steps))
