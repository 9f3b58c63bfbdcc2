-- Each connection waits for up to 40 ms before its next request, as many clients with little to do together.
dofile(os.getenv('BENCH_REPORT'))

function delay()
  return math.random(0, 40)
end
