-- One measurement: the newest of its key wins.
-- KEYS: state, stream, market, generation.
-- ARGV: generation, time (20 digits), field, change, stream length, latest possible time.
-- 1: done. 0: a newer one is there. -1: Redis does not hold the state this publisher built.
if redis.call('GET', KEYS[4]) ~= ARGV[1] then return -1 end
local newest = redis.call('HGET', KEYS[3], ARGV[3])
if newest and newest > ARGV[2] and newest <= ARGV[6] then return 0 end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
redis.call('HSET', KEYS[3], ARGV[3], ARGV[2])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*',
  'generation', ARGV[1], 'version', '0', 'change', ARGV[4])
return 1
