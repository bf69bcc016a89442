import { fieldsText } from "./fieldsText.ts"

/** Writes the field numbers that the picker's codec is made of; `descriptors.py` fetches what they are read from. */
await Bun.write(new URL("../../../src/extproc/wire/envoyFields.ts", import.meta.url), fieldsText())
