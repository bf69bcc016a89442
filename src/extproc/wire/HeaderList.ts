/** Headers as Envoy sends them: names in lower case, pseudo headers among them, a repeated name more than once. */
export class HeaderList {
  private readonly flat: Array<string> = []

  add(name: string, value: string): void {
    this.flat.push(name, value)
  }

  /** Names that pass the test, each once. */
  namesLike(test: (name: string) => boolean): ReadonlyArray<string> {
    const found: Array<string> = []
    for (let i = 0; i < this.flat.length; i += 2) {
      const name = this.flat[i] ?? ""
      if (test(name) && !found.includes(name)) found.push(name)
    }
    return found
  }

  /** As `Headers.get`: values of a repeated name are joined with a comma. `name` is in lower case. */
  get(name: string): string | null {
    const { flat } = this
    let found: string | null = null
    for (let i = 0; i < flat.length; i += 2) {
      if (flat[i] !== name) continue
      const value = flat[i + 1] ?? ""
      found = found === null ? value : `${found}, ${value}`
    }
    return found
  }
}
