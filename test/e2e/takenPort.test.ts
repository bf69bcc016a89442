import { expect, test } from "bun:test"
import { startTestGateway } from "../lib/testGateway.ts"

test("a gateway does not share the clients' or the operators' port of another: it says which is taken", async () => {
  const first = await startTestGateway({})
  try {
    const adminPort = Number(new URL(first.handle.adminUrl ?? "").port)
    const onClients = startTestGateway({ config: { listen: { hostname: "127.0.0.1", port: first.port } } })
    await expect(onClients).rejects.toThrow(`can't listen on 127.0.0.1:${first.port}`)
    const onOperators = startTestGateway({ config: { admin: { port: adminPort } } })
    await expect(onOperators).rejects.toThrow(`can't listen for operators on 127.0.0.1:${adminPort}`)
  } finally {
    await first.stop()
  }
})
