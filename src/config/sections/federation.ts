import { z } from 'zod'
import { networks, PRIVATE_NETWORKS } from '../networks.ts'
import { mainOnly, option, section, text, wholeOr } from '../option.ts'
import { serverName } from './homeservers.ts'

export const federation = section('Other Matrix servers: whose media are fetched and served.', {
  backoffAt: option(wholeOr(20), 20, {
    ...mainOnly,
    description: 'After this many failures in a row a remote server is left alone for a while; 0 or below means 20.',
  }),
  notaries: option(z.array(serverName()), [], {
    ...mainOnly,
    example: ['matrix.org'],
    description:
      'Servers to ask for the signing keys of a server that does not give them itself; they are believed, and learn which servers ask us. When empty, requests of such a server are refused.',
  }),
  ignoredHosts: option(z.array(text()), [], {
    ...mainOnly,
    example: ['example.com'],
    description:
      'Media of these servers are neither served nor fetched, except for repository administrators, and they get none of ours. A name without a port stands for all ports.',
  }),
  onlyHosts: option(z.array(serverName()), [], {
    ...mainOnly,
    example: ['example.com'],
    description:
      'When not empty, all other servers are treated like ignored ones: only media of these (and our own) are fetched and served, and only these get ours.',
  }),
  allowedNetworks: option(networks(), ['0.0.0.0/0', '::/0'], {
    ...mainOnly,
    description:
      'Networks in which remote servers may be; an address must be in one of these and in no disallowed one. To federate on private addresses, take them out of disallowedNetworks.',
  }),
  disallowedNetworks: option(networks(), PRIVATE_NETWORKS, {
    ...mainOnly,
    description: 'Networks that are never dialled for federation, whatever a remote server claims.',
  }),
})
