import { SpoolFailed } from "../../errors.ts"
import type { HeldBytes } from "../doors/RequestBytes.ts"
import type { FormField, FormScanner } from "../features/FormScanner.ts"
import { inMemory, type ScannedForm } from "../features/readRequest.ts"
import type { BodySink } from "../readBody.ts"
import { SpooledBody } from "./SpooledBody.ts"
import type { RequestBody } from "../upstream/UpstreamRequest.ts"
import type { SpoolFolder } from "./SpoolFolder.ts"

/** Where a form may go. */
export interface FormRoom {
  /** A form up to this size stays in memory. */
  readonly memoryMax: number
  readonly folder: SpoolFolder
  /** The request's shares. */
  readonly memory: HeldBytes
  readonly disk: HeldBytes
  /** Called whenever as much has come as would stay in memory. */
  readonly onProgress: () => void
  /** What the disk did is not the client's to read. */
  readonly log: (message: string) => void
}

/** Takes in a form of any size: a small one stays in memory, a large one goes to a file as fast as the disk takes it. */
export class FormIntake implements BodySink {
  private readonly room: FormRoom
  private readonly scanner: FormScanner
  private pieces: Array<Uint8Array> = []
  private length = 0
  private progress = 0
  private spooled: SpooledBody | undefined
  private isReleased = false

  constructor(room: FormRoom, scanner: FormScanner) {
    this.room = room
    this.scanner = scanner
  }

  /** Before the first piece, when the length is known. Rejects with Overloaded or SpoolFailed. */
  async announce(bytes: number): Promise<void> {
    if (bytes > this.room.memoryMax) await this.spool(bytes)
    else this.room.memory.take(bytes)
  }

  /** Rejects with Overloaded or SpoolFailed. */
  async take(piece: Uint8Array, isAnnounced: boolean): Promise<void> {
    const { room } = this
    this.scanner.push(piece)
    this.length += piece.length
    this.progress += piece.length
    if (this.progress >= room.memoryMax) {
      this.progress = 0
      room.onProgress()
    }
    if (this.spooled === undefined && this.length > room.memoryMax) await this.spool(0)
    if (!isAnnounced) (this.spooled === undefined ? room.memory : room.disk).take(piece.length)
    if (this.spooled === undefined) this.pieces.push(piece)
    else {
      await this.append(this.spooled, piece)
      free(piece)
    }
  }

  /** All that came. */
  get scanned(): ScannedForm<RequestBody> {
    const { pieces, scanner, spooled } = this
    if (spooled === undefined) return inMemory(scanner, Buffer.concat(pieces))
    const withField = ({ end, start }: FormField, value: string) => {
      spooled.replace(start, end, Buffer.from(value))
      return spooled
    }
    return { scanner, body: spooled, withField }
  }

  /** Gives the file back, one that is still being opened too; harmless when repeated. */
  release(): void {
    this.isReleased = true
    this.room.disk.release()
    this.spooled?.release()
  }

  private async spool(bytes: number): Promise<void> {
    const { disk, folder, memory } = this.room
    const { pieces } = this
    disk.take(bytes + pieces.reduce((sum, { length }) => sum + length, 0))
    const spooled = this.spooled = new SpooledBody()
    if (this.isReleased) spooled.release()
    await this.onDisk(() => spooled.open(folder))
    for (const piece of pieces) await this.append(spooled, piece)
    this.pieces = []
    memory.release()
  }

  private append(spooled: SpooledBody, piece: Uint8Array): Promise<void> {
    return this.onDisk(() => spooled.append(piece))
  }

  private async onDisk(act: () => Promise<void>): Promise<void> {
    try {
      await act()
    } catch (cause) {
      // After the end of the request nobody waits for its body.
      if (!this.isReleased) this.room.folder.complain(cause, this.room.log)
      throw new SpoolFailed({ message: "the gateway could not keep the request's body; its log says why" })
    }
  }
}

/** Uploads outrun the garbage collector by tens of megabytes, so what lies on disk is freed at once. */
const free = ({ buffer, byteLength }: Uint8Array): void => {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0)
}
