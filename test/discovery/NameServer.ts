import { createSocket } from "node:dgram"

/** What the server knows of a name: records by type, a response code, bytes to send as they are, or silence. */
export type Answer =
  | { readonly a?: ReadonlyArray<string>; readonly aaaa?: ReadonlyArray<string>; readonly srv?: ReadonlyArray<Srv> }
  | { readonly rcode: number }
  | { readonly bytes: (query: Uint8Array) => Uint8Array }
  | "silent"

export interface Srv {
  readonly target: string
  readonly port: number
}

const types = { a: 1, aaaa: 28, srv: 33 }

const nameBytes = (name: string): Buffer =>
  Buffer.concat([
    ...name.split(".").filter((label) => label !== "").map((label) =>
      Buffer.concat([Buffer.from([label.length]), Buffer.from(label, "latin1")])
    ),
    Buffer.from([0])
  ])

/** The first 8 groups of a written-out address such as `fd00:0:0:0:0:0:0:7`. */
const ipv6Bytes = (address: string): Buffer =>
  Buffer.concat(address.split(":").map((group) => Buffer.from(group.padStart(4, "0"), "hex")))

/** One resource record; its owner is a pointer to the question. */
const record = (type: number, data: Buffer): Buffer => {
  const head = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 5, 0, 0])
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}

const srvData = ({ port, target }: Srv): Buffer => {
  const head = Buffer.from([0, 10, 0, 5, 0, 0])
  head.writeUInt16BE(port, 4)
  return Buffer.concat([head, nameBytes(target)])
}

const endOfQuestion = (query: Uint8Array): number => {
  let at = 12
  while (at < query.length && query[at] !== 0) at += (query[at] ?? 0) + 1
  return at + 5
}

/** A whole answer to the query. */
export const answerTo = (query: Uint8Array, rcode: number, records: ReadonlyArray<Buffer>): Buffer => {
  const head = Buffer.from(query.subarray(0, 12))
  head[2] = 0x81
  head[3] = 0x80 | rcode
  head.writeUInt16BE(records.length, 6)
  head.writeUInt16BE(0, 8)
  head.writeUInt16BE(0, 10)
  return Buffer.concat([head, query.subarray(12, endOfQuestion(query)), ...records])
}

const recordsFor = (answer: Answer, type: number): ReadonlyArray<Buffer> => {
  if (typeof answer === "string" || "rcode" in answer || "bytes" in answer) return []
  if (type === types.a) {
    return (answer.a ?? []).map((address) => record(type, Buffer.from(address.split(".").map(Number))))
  }
  if (type === types.aaaa) return (answer.aaaa ?? []).map((address) => record(type, ipv6Bytes(address)))
  return type === types.srv ? (answer.srv ?? []).map((entry) => record(type, srvData(entry))) : []
}

/** A name server on UDP that answers every question from `answer`, which a test changes as it goes. */
export const startNameServer = async (first: Answer) => {
  const socket = createSocket("udp4")
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve))
  const state = { answer: first, queries: 0 }
  socket.on("message", (query, sender) => {
    state.queries++
    const { answer } = state
    if (answer === "silent") return
    const type = query.readUInt16BE(endOfQuestion(query) - 4)
    const bytes = "bytes" in answer
      ? answer.bytes(query)
      : answerTo(query, "rcode" in answer ? answer.rcode : 0, recordsFor(answer, type))
    socket.send(bytes, sender.port, sender.address)
  })
  return {
    address: `127.0.0.1:${socket.address().port}`,
    /** From now on. */
    answerWith: (answer: Answer): void => {
      state.answer = answer
    },
    queries: (): number => state.queries,
    close: (): void => void socket.close()
  }
}
