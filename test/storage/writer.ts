/** Saves one generation after another to the file named on the command line until it is killed; prints those saved. */
import { SnapshotFile } from "../../src/storage/SnapshotFile.ts"
import { fileOptions, generation } from "./generations.ts"

const path = process.argv[2] ?? ""
const file = new SnapshotFile(fileOptions(path))
for (let number = Number(process.argv[3]);; number++) {
  file.save(generation(number), new Uint8Array([number % 256]))
  process.stdout.write(`${number}\n`)
}
