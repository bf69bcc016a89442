import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { Breaker, type BreakerOptions } from "../../src/core/Breaker.ts"

const options: BreakerOptions = {
  failuresInRow: 3,
  failureRatio: 0.5,
  requestsMin: 10,
  windowS: 20,
  openMinS: 1,
  openMaxS: 8
}

/** A breaker that has just opened, at `nowS`. */
const opened = (nowS = 0): Breaker => {
  const breaker = new Breaker(options)
  for (let i = 0; i < options.failuresInRow; i++) breaker.failed(i, true, nowS)
  return breaker
}

describe("a breaker", () => {
  test("opens at so many failures in a row, and a success between starts the count anew", () => {
    const breaker = new Breaker(options)
    for (const reservation of [1, 2]) breaker.failed(reservation, true, 0)
    breaker.served(3, 0)
    for (const reservation of [4, 5]) breaker.failed(reservation, true, 0)
    expect(breaker.state).toBe("closed")
    breaker.failed(6, true, 0)
    expect(breaker.state).toBe("open")
  })

  test("opens at a share of failures with successes between, once there are enough requests", () => {
    const breaker = new Breaker(options)
    for (let i = 0; i < 4; i++) {
      breaker.served(2 * i, i)
      breaker.failed(2 * i + 1, true, i)
    }
    expect(breaker.state).toBe("closed")
    breaker.served(8, 4)
    breaker.failed(9, true, 4)
    expect(breaker.state).toBe("open")
  })

  test("stays closed below that share", () => {
    const breaker = new Breaker(options)
    for (let i = 0; i < 1000; i++) {
      breaker.served(3 * i, i / 10)
      breaker.served(3 * i + 1, i / 10)
      breaker.failed(3 * i + 2, true, i / 10)
    }
    expect(breaker.state).toBe("closed")
  })

  test("forgets failures older than its window", () => {
    const breaker = new Breaker(options)
    for (let i = 0; i < 9; i++) breaker.failed(i, false, 0)
    breaker.failed(9, false, options.windowS)
    expect(breaker.state).toBe("closed")
  })

  test("does not count failures in a row that may be the requests' own fault, but does not ignore many of them", () => {
    const breaker = new Breaker(options)
    for (let i = 0; i < 9; i++) breaker.failed(i, false, 0)
    expect(breaker.state).toBe("closed")
    breaker.failed(9, false, 0)
    expect(breaker.state).toBe("open")
  })

  test("lets no request through until its time is over, and then one at a time", () => {
    const breaker = opened()
    expect([breaker.blocks(0), breaker.blocks(0.99), breaker.blocks(1)]).toEqual([true, true, false])
    breaker.picked(10, 1)
    expect([breaker.state, breaker.blocks(1)]).toEqual(["half-open", true])
    breaker.ended(10)
    expect([breaker.state, breaker.blocks(1)]).toEqual(["half-open", false])
  })

  test("closes when the one that tries is served", () => {
    const breaker = opened()
    breaker.picked(10, 1)
    breaker.served(10, 2)
    expect([breaker.state, breaker.blocks(2)]).toEqual(["closed", false])
  })

  test("opens twice as long each time the one that tries fails, up to its limit", () => {
    const breaker = opened()
    const openS = [10, 11, 12, 13, 14].map((reservation) => {
      const nowS = breaker.openUntilS
      breaker.picked(reservation, nowS)
      breaker.failed(reservation, true, nowS)
      return breaker.openUntilS - nowS
    })
    expect(openS).toEqual([2, 4, 8, 8, 8])
  })

  test("remembers how long it was open when it breaks again soon, and forgets after a quiet time", () => {
    const breaker = opened()
    breaker.picked(10, 1)
    breaker.served(10, 1)
    for (const reservation of [11, 12, 13]) breaker.failed(reservation, true, 2)
    expect(breaker.openUntilS).toBe(4)
    breaker.picked(14, 4)
    breaker.served(14, 4)
    for (const reservation of [15, 16, 17]) breaker.failed(reservation, true, 4 + options.openMaxS)
    expect(breaker.openUntilS).toBe(4 + options.openMaxS + 1)
  })

  test("learns nothing from what was sent before it opened", () => {
    const breaker = opened()
    breaker.served(0, 0.5)
    expect(breaker.state).toBe("open")
    breaker.picked(10, 1)
    breaker.served(1, 1)
    breaker.failed(2, true, 1)
    breaker.ended(2)
    expect([breaker.state, breaker.blocks(1)]).toEqual(["half-open", true])
  })

  test("hears of the failure of one that tried after its end", () => {
    const breaker = opened()
    breaker.picked(10, 1)
    breaker.ended(10)
    breaker.failed(10, true, 1.5)
    expect([breaker.state, breaker.openUntilS]).toEqual(["open", 3.5])
  })

  test("lets one try at once when another process is behind the pod", () => {
    const breaker = opened()
    breaker.restarted()
    expect(breaker.blocks(0.2)).toBe(false)
    breaker.picked(10, 0.2)
    expect(breaker.blocks(0.2)).toBe(true)
  })

  const step = fc.record({
    act: fc.constantFrom("pick", "serve", "fail", "doubt", "end", "restart"),
    which: fc.nat(7),
    afterS: fc.double({ min: 0, max: 3, noNaN: true })
  })

  test("whatever comes in whatever order: one try at a time when not closed, and a way back within the longest open time", () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const breaker = new Breaker(options)
      let nowS = 0
      let next = 0
      const open: Array<number> = []
      let tries: Array<number> = []
      for (const { act, afterS, which } of steps) {
        nowS += afterS
        const some = open[which % Math.max(1, open.length)] ?? -7
        if (act === "pick" && !breaker.blocks(nowS)) {
          const wasClosed = breaker.state === "closed"
          breaker.picked(next, nowS)
          if (!wasClosed) tries.push(next)
          open.push(next++)
        } else if (act === "serve") breaker.served(some, nowS)
        else if (act === "fail" || act === "doubt") breaker.failed(some, act === "fail", nowS)
        else if (act === "restart") {
          breaker.restarted()
          tries = []
        } else if (act === "end" && open.length > 0) {
          breaker.ended(some)
          open.splice(open.indexOf(some), 1)
        }
        if (breaker.state !== "half-open") tries = []
        tries = tries.filter((reservation) => open.includes(reservation))
        expect(tries.length).toBeLessThanOrEqual(1)
        expect(breaker.openUntilS - nowS).toBeLessThanOrEqual(options.openMaxS)
      }
      for (const reservation of open) breaker.ended(reservation)
      expect(breaker.blocks(nowS + options.openMaxS)).toBe(false)
    }))
  })
})
