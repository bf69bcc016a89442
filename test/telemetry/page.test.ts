import { expect, test } from "bun:test"
import { breachesOf } from "./page.ts"

const head = "# HELP a_total A.\n# TYPE a_total counter\n"
const histogram = "# HELP h H.\n# TYPE h histogram\n"

test.each([
  [`${head}a_total 1`, "no newline at the end"],
  [`${head}a_total one\n`, "not a sample: a_total one"],
  [`${head}a_total{x="a"b"} 1\n`, "not a sample: a_total{x=\"a\"b\"} 1"],
  [`${head}a_total 1\na_total 1\n`, "a_total{} comes twice"],
  [`${head}b 1\n`, "b stands below a_total"],
  [`${head}a_total 1\n${head}`, "a_total comes twice"],
  ["# HELP a A.\n# TYPE a counter\na 1\n", "a lacks _total"],
  [`${histogram}h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\n`, "h_bucket{le=\"+Inf\"} 1 falls"],
  [`${histogram}h_bucket{le="1"} 2\n`, "h_bucket has no +Inf"]
])("the check of pages sees the breach in %p", (page, breach) => {
  expect(breachesOf(page)).toEqual([breach])
})
