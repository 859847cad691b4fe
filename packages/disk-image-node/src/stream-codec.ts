/** One compression method, as `Codecs` has it for each. */
export interface StreamCodec {
  /** Bytes produced in `output`; what follows the stream in `input` is ignored. Throws `corrupt`. */
  decompress(input: Uint8Array, output: Uint8Array): number;
  /** Stored length in `output`, 0 when it does not fit. */
  compress(level: number | undefined, input: Uint8Array, output: Uint8Array): number;
}
