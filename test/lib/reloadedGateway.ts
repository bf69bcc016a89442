import { expect } from "bun:test"
import { reloadPath } from "../../src/http/reloadRoute.ts"
import { valueOf } from "../telemetry/page.ts"
import { configFile } from "./configFile.ts"
import { startTestGateway } from "./testGateway.ts"

type Values = Readonly<Record<string, unknown>>

/** A gateway in this process whose configuration is a file that nobody watches, in the words of the YAML. */
export const startReloadedGateway = async (values: Values) => {
  const file = configFile(reloadedSettings(values))
  const gateway = await startTestGateway({ configPath: file.path })
  const { adminUrl } = gateway.handle
  return {
    ...gateway,
    file,
    /** Writes these settings in the place of all before, and has them taken. Answers with the differences, one a line. */
    change: async (values: Values): Promise<ReadonlyArray<string>> => {
      file.write(reloadedSettings(values))
      const response = await fetch(`${adminUrl}${reloadPath}`, { method: "POST" })
      const body = await response.json() as { changes: ReadonlyArray<{ setting: string; takesEffect: string }> }
      expect([response.status, body]).toMatchObject([200, { outcome: "applied" }])
      return body.changes.map(({ setting, takesEffect }) => `${setting} ${takesEffect}`)
    },
    metric: async (name: string, labels: Readonly<Record<string, string>> = {}): Promise<number | undefined> =>
      valueOf(await (await fetch(`${adminUrl}/metrics`)).text(), name, labels),
    stop: async () => {
      await gateway.stop()
      file.remove()
    }
  }
}

export type ReloadedGateway = Awaited<ReturnType<typeof startReloadedGateway>>

/** Small and quick, and nothing is kept or watched. */
export const reloadedSettings = (values: Values) => ({
  listen: { hostname: "127.0.0.1", port: 0 },
  admin: { port: 0 },
  scrape: { interval: "50 millis" },
  log: { level: "none" },
  snapshot: { enabled: false },
  reload: { watch: false },
  ...values
})
