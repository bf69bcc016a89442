import { setDefaultTimeout } from "bun:test"

/** Loaded before every test file; Bun's own 5 s are too few for a busy machine. */
setDefaultTimeout(20_000)
