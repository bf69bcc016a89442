const deadlineMs = 15_000

/** Polls for what nothing announces; the message names what did not come. */
export const eventually = async (what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
  const deadline = performance.now() + deadlineMs
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${deadlineMs} ms`)
    await Bun.sleep(5)
  }
}
