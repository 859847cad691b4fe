/** A value that JSON can hold. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };
/** Named values that JSON can hold. What goes into a step and comes out of it is of this kind, so that it can be kept. */
export type JsonObject = { readonly [key: string]: JsonValue };
