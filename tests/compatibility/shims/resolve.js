// Makes node find a cluster by its endpoint, whose address PGHOSTADDR has, as libpq does.
const dns = require('dns')
const { PGHOST, PGHOSTADDR } = process.env
const lookup = dns.lookup
dns.lookup = (host, ...rest) => lookup(PGHOSTADDR && host === PGHOST ? PGHOSTADDR : host, ...rest)
