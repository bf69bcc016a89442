import type { PodId } from "../../core/Pod.ts"
import type { PodAccess, PodTls } from "../../core/PodAccess.ts"

/** What files and environment say, read. */
export interface PodSecrets {
  /** For every pod that has none of its own. */
  readonly token: string | undefined
  /** By the pods' ids. */
  readonly tokens: ReadonlyMap<string, string>
  readonly tls: PodTls
}

/** The gateway's own secrets towards pods; they may be replaced while it serves. */
export class PodCredentials implements PodAccess {
  private secrets: PodSecrets

  constructor(secrets: PodSecrets) {
    this.secrets = secrets
  }

  /** Open connections go on; new ones, and new requests on them, use the new secrets. */
  replace(secrets: PodSecrets): void {
    this.secrets = secrets
  }

  readonly tokenFor = (id: PodId): string | undefined => this.secrets.tokens.get(id) ?? this.secrets.token

  readonly tls = (): PodTls => this.secrets.tls
}
