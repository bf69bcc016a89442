import type { SeededRandom } from "../SeededRandom.ts"
import type { PlannedRequest, Stage } from "../Workload.ts"

/**
 * A closed loop: `users` clients, started evenly over the first seconds, each with a new session as soon as the last
 * one is over. `start` makes the session of a user; `after` begins the next one.
 */
export const closedLoop = (
  random: SeededRandom,
  users: number,
  rampS: number,
  durationS: number,
  start: (
    draw: SeededRandom,
    user: number,
    round: number,
    afterS: number,
    after: () => PlannedRequest
  ) => PlannedRequest
): Stage => {
  const begin = (draw: SeededRandom, user: number, round: number, afterS: number): PlannedRequest =>
    start(draw, user, round, afterS, () => begin(draw, user, round + 1, 0))
  const arrivals = function*(): Generator<PlannedRequest> {
    for (let user = 0; user < users; user++) yield begin(random.fork(user), user, 0, (user * rampS) / users)
  }
  return { arrivals: arrivals(), warmUpS: durationS / 5, lastAskS: durationS }
}

/** Ids that no other user and no other session of this user has; the first million are for what is shared. */
export const sessionIds = (user: number, round: number): number => 1_000_000 + (user * 10_000 + round) * 10_000
