import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A configuration on disk, replaced by a rename as editors do. JSON is YAML. */
export const configFile = (values: Readonly<Record<string, unknown>>) => {
  const directory = mkdtempSync(join(tmpdir(), "warmroute-config-"))
  const path = join(directory, "gateway.yaml")
  const writeText = (text: string): void => {
    writeFileSync(`${path}.new`, text)
    renameSync(`${path}.new`, path)
  }
  const write = (values: Readonly<Record<string, unknown>>): void => writeText(JSON.stringify(values, undefined, 1))
  write(values)
  return { path, write, writeText, remove: () => rmSync(directory, { recursive: true }) }
}
