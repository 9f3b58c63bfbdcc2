-- Each request uploads BENCH_BYTES bytes that nobody has sent before: a number, BENCH_SEED and the number of the request, then
-- always the same.
dofile(os.getenv('BENCH_REPORT'))

local bytes = tonumber(os.getenv('BENCH_BYTES'))
local seed = os.getenv('BENCH_SEED')
local sent = 0
local head, rest

function init()
  local whole = wrk.format('POST', nil, nil, string.rep('.', bytes))
  head = whole:sub(1, #whole - bytes)
  rest = string.rep('.', bytes - #seed - 13)
end

function request()
  sent = sent + 1
  return head .. seed .. string.format(' %012d', sent) .. rest
end
