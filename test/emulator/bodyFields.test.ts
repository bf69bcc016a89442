import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { readFields } from "../../src/emulator/bodyFields.ts"
import { jsonFaultOf } from "../../src/emulator/pythonJson.ts"
import { VllmError } from "../../src/emulator/VllmError.ts"

describe("jsonFaultOf", () => {
  // Checked against json.loads of Python 3.11.
  test.each([
    ["{\"a\": [", 7, "Expecting value"],
    ["{\"a\":1,}", 7, "Expecting property name enclosed in double quotes"],
    ["{\"a\" 1}", 5, "Expecting ':' delimiter"],
    ["[1 2]", 3, "Expecting ',' delimiter"],
    ["{\"a\":\"b\\q\"}", 7, "Invalid \\escape"],
    ["\"\\u12\"", 2, "Invalid \\uXXXX escape"],
    ["\"abc", 0, "Unterminated string starting at"],
    ["{\"a\":\"x\ny\"}", 7, "Invalid control character at"],
    ["{} x", 3, "Extra data"],
    ["{\"a\":01}", 6, "Expecting ',' delimiter"]
  ])("%s", (text, position, message) => {
    expect(jsonFaultOf(text)).toEqual({ position, message })
  })

  test("names a place inside any text that is no JSON", () => {
    fc.assert(fc.property(fc.json().chain((text) => fc.nat(text.length).map((cut) => text.slice(0, cut))), (text) => {
      const { position } = jsonFaultOf(text)
      expect(position >= 0 && position <= text.length).toBe(true)
    }))
  })
})

describe("readFields", () => {
  const rules = [
    { name: "prompt", kind: "text or list", required: true },
    { name: "n", kind: "integer" },
    { name: "temperature", kind: "number" },
    { name: "stream", kind: "boolean" }
  ] as const

  const messageOf = async (body: unknown): Promise<string> => {
    const request = new Request("http://pod", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: typeof body === "string" ? body : JSON.stringify(body)
    })
    try {
      await readFields(request, rules)
      return "accepted"
    } catch (error) {
      if (error instanceof VllmError) return error.message
      throw error
    }
  }

  test("takes what pydantic's lax mode takes", async () => {
    expect(await messageOf({ prompt: "x", n: "2", temperature: "0.5", stream: "yes" })).toBe("accepted")
    expect(await messageOf({ prompt: ["x"], n: 2.0, temperature: null, stream: 1 })).toBe("accepted")
  })

  test("tells every issue of a body", async () => {
    expect(await messageOf({ n: 1.5, temperature: {}, stream: "maybe" })).toBe(
      "4 validation errors:" +
        "\n  {'type': 'missing', 'loc': 'body.prompt', 'msg': 'Field required', 'input': '<dict of 3 items>'}" +
        "\n  {'type': 'int_from_float', 'loc': 'body.n', 'msg': 'Input should be a valid integer, got a number with a " +
        "fractional part', 'input': '1.5'}" +
        "\n  {'type': 'float_type', 'loc': 'body.temperature', 'msg': 'Input should be a valid number', 'input': " +
        "'<dict of 0 items>'}" +
        "\n  {'type': 'bool_parsing', 'loc': 'body.stream', 'msg': 'Input should be a valid boolean, unable to " +
        "interpret input', 'input': 'maybe'}"
    )
  })

  test("quotes as Python does", async () => {
    expect(await messageOf("{\"a\" 1}")).toContain("'ctx': {'error': \"Expecting ':' delimiter\"}")
  })

  test("refuses a body that is no object", async () => {
    expect(await messageOf([])).toContain("model_attributes_type")
  })
})
