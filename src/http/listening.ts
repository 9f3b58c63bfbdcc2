/** Why a server cannot listen on its address, for administrators: what to do about it, where that is known. */
export function whyNotListening(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return 'something else listens there; stop it, or take another port'
    case 'EACCES':
      return 'this user may not use that port; take one above 1023'
    case 'EADDRNOTAVAIL':
      return 'this machine does not have that address'
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'no address is known under that name'
    default:
      return error instanceof Error ? error.message : String(error)
  }
}
