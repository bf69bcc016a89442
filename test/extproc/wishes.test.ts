import { expect, test } from "bun:test"
import { wishDefaults } from "../../src/http/features/requestWish.ts"
import { chatBody, chatHeaders, fullDuplex, tellChat, TestPicker } from "./TestPicker.ts"

test("Envoy's request waits as its headers wish, with the size of its body", async () => {
  const wishes = { ...wishDefaults, priorityOf: (name: string) => name === "batch" ? -1 : undefined }
  await using picker = await TestPicker.start({ front: { wishes } })
  const stream = picker.open()
  tellChat(stream, chatBody(), fullDuplex, {
    ...chatHeaders,
    "x-gateway-inference-objective": "batch",
    "x-gateway-inference-fairness-id": "nightly",
    "x-warmroute-deadline-ms": "3000"
  })
  await stream.hear()
  expect(picker.scheduler.picks[0]?.request.wish).toEqual({
    priority: -1,
    flow: "nightly",
    bytes: chatBody().length,
    waitMaxS: 3
  })
})

test("a deadline that is none is refused before a pod is looked for", async () => {
  await using picker = await TestPicker.start()
  const stream = picker.open()
  tellChat(stream, chatBody(), fullDuplex, { ...chatHeaders, "x-warmroute-deadline-ms": "soon" })
  expect((await stream.hear()).about).toBe("immediateResponse")
  expect(picker.scheduler.picks).toEqual([])
})
