/** The error that a promise rejects with; resolving is reported as a value that no test expects. */
export const rejectionOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(() => "it resolved", (error: unknown) => error)
