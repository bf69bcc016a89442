/** Writes each kind of line at once, then at most one a window that tells how many were kept back. */
export interface SeldomLogOptions<Kind extends string> {
  /** `more`: further ones since the last line of this kind; 0 when this is the first of them. */
  readonly write: (kind: Kind, text: string, more: number) => void
}

interface Said {
  more: number
  /** The last of those that were kept back. */
  text: string
}

/**
 * Lines of a few kinds that may come by the thousand. The first of a kind is written at once; `tick`, called once a
 * window, tells how many more came and forgets a kind that has gone quiet. So none is lost, and a storm is one line a window.
 */
export class SeldomLog<Kind extends string> {
  private readonly options: SeldomLogOptions<Kind>
  private readonly said = new Map<Kind, Said>()

  /** `Kind` must be of a fixed set: each is remembered while it comes. */
  constructor(options: SeldomLogOptions<Kind>) {
    this.options = options
  }

  line(kind: Kind, text: () => string): void {
    const said = this.said.get(kind)
    if (said === undefined) {
      this.said.set(kind, { more: 0, text: "" })
      this.options.write(kind, text(), 0)
    } else if (said.more++ === 0) said.text = text()
  }

  tick(): void {
    for (const [kind, said] of this.said) {
      if (said.more === 0) this.said.delete(kind)
      else {
        const { more, text } = said
        said.more = 0
        this.options.write(kind, text, more)
      }
    }
  }
}
