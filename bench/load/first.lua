-- Each request asks for something that nobody has asked for before. BENCH_FIRST is a path with two %d in it: a number from 1 to 8, and
-- one that counts up.
dofile(os.getenv('BENCH_REPORT'))

local count = 0

function request()
  count = count + 1
  return wrk.format('GET', string.format(os.getenv('BENCH_FIRST'), count % 8 + 1, count))
end
