import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import type { Waiting } from "../../../src/core/waiting/Waiting.ts"
import { WaitingRoom, type WaitingRoomOptions } from "../../../src/core/waiting/WaitingRoom.ts"
import { entryOf, scanOf, serve, type Wanted } from "./waiters.ts"

const roomOf = (options: Partial<WaitingRoomOptions> = {}) =>
  new WaitingRoom<number>({ requestsMax: 1000, bytesMax: 1e9, ageingPerS: 0.1, ...options })

const filled = (wanted: ReadonlyArray<Wanted>, options: Partial<WaitingRoomOptions> = {}) => {
  const room = roomOf(options)
  const entries = wanted.map((each, ticket) => entryOf(room, ticket, each))
  for (const entry of entries) room.enter(entry)
  return { room, entries }
}

describe("the order inside a flow", () => {
  test("has the smallest work first, and among equals who came first", () => {
    const { room } = filled([{ ownS: 3 }, { ownS: 1 }, { ownS: 2 }, { ownS: 1 }])
    expect(scanOf(room)).toEqual([1, 3, 2, 0])
  })

  test("counts ten seconds of waiting as a second of work", () => {
    const { room } = filled([
      { ownS: 2, arrivedS: 0 },
      { ownS: 1, arrivedS: 9.9 },
      { ownS: 1, arrivedS: 10.1 }
    ])
    expect(scanOf(room)).toEqual([1, 0, 2])
  })

  test("lets a request be overtaken only by those that came less than their gain in work allows", () => {
    const one = fc.record({ ownS: fc.integer({ min: 1, max: 50 }), arrivedS: fc.integer({ min: 0, max: 300 }) })
    fc.assert(fc.property(fc.array(one, { minLength: 2, maxLength: 40 }), (wanted) => {
      const arrived = wanted.toSorted((a, b) => a.arrivedS - b.arrivedS)
      const { entries, room } = filled(arrived)
      const order = scanOf(room)
      for (const [place, ticket] of order.entries()) {
        const mine = entries[ticket]!
        for (const before of order.slice(0, place)) {
          const theirs = entries[before]!
          if (theirs.arrivedS <= mine.arrivedS) continue
          expect(theirs.arrivedS - mine.arrivedS).toBeLessThanOrEqual((mine.ownS - theirs.ownS) / 0.1 + 1e-9)
        }
      }
    }))
  })
})

describe("bands", () => {
  test("go strictly by priority, whatever the work and the age", () => {
    const { room } = filled([
      { priority: 0, ownS: 0.1 },
      { priority: 5, ownS: 99, arrivedS: 50 },
      { priority: -1, ownS: 0.1 },
      { priority: 0.5, ownS: 9 }
    ])
    expect(scanOf(room)).toEqual([1, 3, 0, 2])
    expect(room.bandCounts().map(({ priority }) => priority)).toEqual([5, 0.5, 0, -1])
  })

  test("may hold fewer than the room", () => {
    const { room } = filled([{ priority: 0 }, { priority: 1 }], { bandRequestsMax: new Map([[0, 1]]) })
    expect(room.hasRoomFor({ bytes: 0, priority: 0 })).toBe(false)
    expect(room.hasRoomFor({ bytes: 0, priority: 1 })).toBe(true)
  })
})

describe("flows of a band", () => {
  test("take turns by prefill seconds, not by requests", () => {
    const heavy = Array.from({ length: 20 }, () => ({ flow: "heavy", ownS: 3 }))
    const light = Array.from({ length: 60 }, () => ({ flow: "light", ownS: 1 }))
    const { room } = filled([...heavy, ...light])
    const gone = serve(room, 40)
    const workOf = (flow: string) => gone.filter(({ terms }) => terms.flow === flow).reduce((sum, e) => sum + e.ownS, 0)
    expect(Math.abs(workOf("heavy") - workOf("light"))).toBeLessThanOrEqual(3)
  })

  test("with everything to do get the same within one request, however many each of them sends", () => {
    const flows = fc.array(
      fc.record({ count: fc.integer({ min: 1, max: 60 }), ownS: fc.integer({ min: 1, max: 9 }) }),
      { minLength: 2, maxLength: 5 }
    )
    fc.assert(fc.property(flows, (kinds) => {
      const wanted = kinds.flatMap(({ count, ownS }, flow) =>
        Array.from({ length: count }, () => ({ flow: `${flow}`, ownS }))
      )
      const { room } = filled(wanted)
      const servedS = kinds.map(() => 0)
      const left = kinds.map(({ count }) => count)
      const largestS = Math.max(...kinds.map(({ ownS }) => ownS))
      while (left.every((count) => count > 0)) {
        const [entry] = serve(room, 1)
        const flow = Number(entry!.terms.flow)
        servedS[flow]! += entry!.ownS
        left[flow]!--
        expect(Math.max(...servedS) - Math.min(...servedS)).toBeLessThanOrEqual(largestS)
      }
    }))
  })

  test("can't win by coming back one request at a time", () => {
    const { room } = filled(Array.from({ length: 30 }, () => ({ flow: "steady" })))
    let ticket = 100
    room.enter(entryOf(room, ticket, { flow: "returning" }))
    const turns = { steady: 0, returning: 0 }
    for (let i = 0; i < 40; i++) {
      const [entry] = serve(room, 1)
      const flow = entry!.terms.flow as keyof typeof turns
      turns[flow]++
      if (flow === "returning") room.enter(entryOf(room, ++ticket, { flow: "returning" }))
    }
    expect(turns).toEqual({ steady: 20, returning: 20 })
  })

  test("earn nothing by having been idle", () => {
    const { room } = filled(Array.from({ length: 50 }, () => ({ flow: "early" })))
    serve(room, 20)
    for (let i = 0; i < 50; i++) room.enter(entryOf(room, 100 + i, { flow: "late" }))
    const gone = serve(room, 20).map(({ terms }) => terms.flow)
    expect(gone.filter((flow) => flow === "late").length).toBeLessThanOrEqual(11)
    expect(gone.filter((flow) => flow === "early").length).toBeLessThanOrEqual(11)
  })

  test("get back a little of what they left to others for a moment, and no more than that", () => {
    const { room } = filled([...Array.from({ length: 50 }, () => ({ flow: "steady" })), { flow: "now and then" }])
    serve(room, 30)
    for (let i = 0; i < 20; i++) room.enter(entryOf(room, 100 + i, { flow: "now and then" }))
    const gone = serve(room, 13).map(({ terms }) => terms.flow)
    // Two seconds of prefill, which are two requests here, and the turn that it has anyway.
    expect(gone.slice(0, 3)).toEqual(["now and then", "now and then", "now and then"])
    expect(gone.filter((flow) => flow === "steady")).toHaveLength(5)
  })

  test("stand in a scan in the order in which they would be served", () => {
    const { room } = filled([{ flow: "a" }, { flow: "a" }, { flow: "b" }, { flow: "a" }, { flow: "b" }])
    expect(scanOf(room)).toEqual(serve(room, 5).map(({ ticket }) => ticket))
  })
})

describe("work ahead", () => {
  test("is that of the same flow before it, and of the others until they got as much", () => {
    const { room } = filled([
      { flow: "a", ownS: 2 },
      { flow: "a", ownS: 3 },
      { flow: "b", ownS: 1 },
      { flow: "b", ownS: 1 },
      { flow: "b", ownS: 20 }
    ])
    // By then a has had 2 s, so b gets 2 s.
    expect(room.workAheadS({ flow: "a", priority: 0 }, 2.5)).toBe(4)
    expect(room.workAheadS({ flow: "new", priority: 0 }, 1)).toBe(0)
    expect(room.workAheadS({ flow: "a", priority: 1 }, 1)).toBe(0)
  })

  test("is what is served before it when nobody else comes, within one request of each flow", () => {
    const one = fc.record({ flow: fc.constantFrom("a", "b", "c"), ownS: fc.integer({ min: 1, max: 9 }) })
    fc.assert(fc.property(fc.array(one, { minLength: 1, maxLength: 30 }), one, (wanted, asked) => {
      const { room } = filled(wanted)
      const mine = entryOf(room, 999, asked)
      const predictedS = room.workAheadS(mine.terms, mine.key)
      room.enter(mine)
      let servedS = 0
      for (let [entry] = serve(room, 1); entry !== undefined && entry !== mine; [entry] = serve(room, 1)) {
        servedS += entry.ownS
      }
      expect(Math.abs(servedS - predictedS)).toBeLessThanOrEqual(3 * 9)
    }))
  })
})

describe("giving up", () => {
  const podless = { podlessSinceS: 0 }

  test("takes the last in order of the lowest band, and never one of a priority from zero on", () => {
    const { entries, room } = filled([{ priority: 0 }, { priority: -2, ownS: 1 }, { priority: -2, ownS: 5 }, {
      priority: -1,
      ownS: 9
    }])
    for (const ticket of [2, 1, 3]) {
      expect(room.giveUpFirst({ priority: 0 }, false)?.ticket).toBe(ticket)
      room.leave(entries[ticket]!, false)
    }
    expect(room.giveUpFirst({ priority: 0 }, false)).toBeUndefined()
  })

  test("takes those without a pod first, of its own band too, the latest before the others and a retry last", () => {
    const { entries, room } = filled([
      { priority: -1 },
      { priority: 0, ...podless, returns: true },
      { priority: 0, ...podless },
      { priority: 0, ...podless },
      { priority: 1, ...podless }
    ])
    for (const ticket of [3, 2, 1, 0]) {
      expect(room.giveUpFirst({ priority: 0 }, false)?.ticket).toBe(ticket)
      room.leave(entries[ticket]!, false)
    }
    expect(room.giveUpFirst({ priority: 0 }, false)).toBeUndefined()
    expect(room.giveUpFirst({ priority: 1 }, false)?.ticket).toBe(4)
  })

  test("takes nobody in line for a request without a pod", () => {
    const { room } = filled([{ priority: -1 }, { priority: -2, ...podless }, { priority: 0, ...podless }])
    expect(room.giveUpFirst({ priority: 1 }, true)?.ticket).toBe(1)
    room.leave([...room].find(({ ticket }) => ticket === 1)!, false)
    expect(room.giveUpFirst({ priority: 1 }, true)).toBeUndefined()
  })

  test("takes those of a full band without a pod, and nobody else, to let one in", () => {
    const { entries, room } = filled([{ priority: -1 }, { priority: 2 }, { priority: 2, ...podless }], {
      bandRequestsMax: new Map([[2, 2]])
    })
    expect(room.couldMakeRoomFor({ bytes: 0, priority: 2 }, true)).toBe(false)
    expect(room.couldMakeRoomFor({ bytes: 0, priority: 2 }, false)).toBe(true)
    expect(room.giveUpFirst({ priority: 2 }, false)?.ticket).toBe(2)
    room.stepIn(entries[2]!)
    expect(room.couldMakeRoomFor({ bytes: 0, priority: 2 }, false)).toBe(false)
  })

  test("is no use for a request that would need the bytes of those who are gone, or back in line", () => {
    for (const leaves of [true, false]) {
      const { entries, room } = filled([{ bytes: 60, podlessSinceS: 0 }, { bytes: 40 }], { bytesMax: 100 })
      if (leaves) room.leave(entries[0]!, false)
      else room.stepIn(entries[0]!)
      room.enter(entryOf(room, 2, { bytes: leaves ? 60 : 0 }))
      expect(room.couldMakeRoomFor({ bytes: 50, priority: 0 }, false)).toBe(false)
    }
  })

  test("is no use for a request that would not fit even then", () => {
    const { room } = filled([{ priority: 0, bytes: 60 }, { priority: -1, bytes: 30 }], { bytesMax: 100 })
    expect(room.couldMakeRoomFor({ bytes: 40, priority: 0 }, false)).toBe(true)
    expect(room.couldMakeRoomFor({ bytes: 41, priority: 0 }, false)).toBe(false)
    expect(room.couldMakeRoomFor({ bytes: 40, priority: -1 }, false)).toBe(false)
    expect(room.couldMakeRoomFor({ bytes: 40, priority: 0 }, true)).toBe(false)
  })

  test("makes the room that was foreseen, and nobody is given up where it can't be made", () => {
    const one = fc.record({
      priority: fc.integer({ min: -2, max: 2 }),
      flow: fc.constantFrom("a", "b"),
      bytes: fc.nat(50),
      podlessSinceS: fc.constantFrom(undefined, 0)
    })
    const asked = fc.record({ priority: fc.integer({ min: -2, max: 2 }), bytes: fc.nat(80) })
    const bands = fc.constantFrom(new Map<number, number>(), new Map([[0, 2]]), new Map([[-1, 0], [1, 1]]))
    fc.assert(
      fc.property(fc.array(one, { maxLength: 12 }), asked, fc.boolean(), bands, (wanted, terms, isPodless, bands) => {
        const { room } = filled(wanted, { requestsMax: 6, bytesMax: 150, bandRequestsMax: bands })
        if (room.hasRoomFor(terms)) return
        const couldMakeRoom = room.couldMakeRoomFor(terms, isPodless)
        for (;;) {
          const victim = room.giveUpFirst(terms, isPodless)
          if (victim === undefined || room.hasRoomFor(terms)) break
          const isSheddable = victim.terms.priority < 0 && victim.terms.priority < terms.priority
          const isWithoutPod = victim.podlessSinceS !== undefined
          if (isPodless) expect(isSheddable && isWithoutPod).toBe(true)
          else expect(isSheddable || isWithoutPod && victim.terms.priority <= terms.priority).toBe(true)
          room.leave(victim, false)
        }
        expect(room.hasRoomFor(terms)).toBe(couldMakeRoom)
      })
    )
  })
})

type Step =
  | { readonly op: "enter"; readonly wanted: Wanted }
  | { readonly op: "leave"; readonly which: number; readonly sentOff: boolean }
  | { readonly op: "scan"; readonly steps: number }

const stepArb: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    op: fc.constant("enter" as const),
    wanted: fc.record({
      priority: fc.integer({ min: -1, max: 1 }),
      flow: fc.constantFrom("a", "b", "c"),
      bytes: fc.nat(50),
      ownS: fc.integer({ min: 1, max: 4 }),
      arrivedS: fc.nat(20)
    })
  }),
  fc.record({ op: fc.constant("leave" as const), which: fc.nat(50), sentOff: fc.boolean() }),
  fc.record({ op: fc.constant("scan" as const), steps: fc.nat(10) })
)

describe("through any sequence of comings and goings", () => {
  test("the room counts exactly who is in it, and a scan finds each once, bands in order", () => {
    fc.assert(fc.property(fc.array(stepArb, { maxLength: 80 }), (steps) => {
      const room = roomOf()
      const inside: Array<Waiting<number>> = []
      let ticket = 0
      for (const step of steps) {
        if (step.op === "enter") {
          const entry = entryOf(room, ticket++, step.wanted)
          room.enter(entry)
          inside.push(entry)
        } else if (step.op === "leave") {
          const [entry] = inside.splice(step.which % Math.max(1, inside.length), 1)
          if (entry === undefined) continue
          room.leave(entry, step.sentOff)
          room.leave(entry, step.sentOff)
        } else {
          room.startScan()
          for (let i = 0; i < step.steps; i++) room.next()
        }
        expect(room.count).toBe(inside.length)
        expect(room.bytes).toBe(inside.reduce((sum, { terms }) => sum + terms.bytes, 0))
        expect([...room].map((entry) => entry.ticket).toSorted()).toEqual(inside.map((e) => e.ticket).toSorted())
      }
      const order = scanOf(room)
      expect(order.toSorted()).toEqual(inside.map((entry) => entry.ticket).toSorted())
      const priorities = order.map((ticket) => inside.find((entry) => entry.ticket === ticket)!.terms.priority)
      expect(priorities).toEqual(priorities.toSorted((a, b) => b - a))
    }))
  })

  test("a scan goes on where it was when those before it leave or come", () => {
    const { entries, room } = filled([{ ownS: 1 }, { ownS: 2 }, { ownS: 3 }, { ownS: 4 }])
    room.startScan()
    expect(room.next()?.ticket).toBe(0)
    expect(room.next()?.ticket).toBe(1)
    room.leave(entries[0]!, true)
    room.enter(entryOf(room, 9, { ownS: 0.5 }))
    expect(room.next()?.ticket).toBe(2)
    expect(room.next()?.ticket).toBe(3)
    expect(room.next()).toBeUndefined()
  })

  test("only so many flows that rest are remembered, the latest", () => {
    const { room } = filled([{ flow: "steady", ownS: 1e6 }])
    for (let i = 0; i < 3000; i++) {
      const entry = entryOf(room, i, { flow: `once-${i}` })
      room.enter(entry)
      room.leave(entry, true)
    }
    // One that got a second already lets the steady flow have as much first.
    expect(room.workAheadS({ flow: "once-2999", priority: 0 }, 1)).toBe(1)
    expect(room.workAheadS({ flow: "once-0", priority: 0 }, 1)).toBe(0)
  })
})
