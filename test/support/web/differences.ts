/**
 * Where our previews of the local web differ from Synapse's, by page and key, and why ours are right. A difference that is not
 * listed fails the comparison, and so does one that is listed and no longer there.
 */
export const DIFFERENCES: Readonly<Record<string, Readonly<Record<string, string>>>> = {}
