-- Put the state that was built aside in the place of the old one, under a new generation.
-- KEYS: state, next state, version, generation, layout, market, next market, stream.
-- ARGV: expected generation ('' for none), generation, version, layout, '1' to begin the stream anew.
-- 1: done. 0: somebody else rebuilt meanwhile.
if (redis.call('GET', KEYS[4]) or '') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[6])
if ARGV[5] == '1' then redis.call('DEL', KEYS[8]) end
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('RENAME', KEYS[2], KEYS[1]) end
if redis.call('EXISTS', KEYS[7]) == 1 then redis.call('RENAME', KEYS[7], KEYS[6]) end
redis.call('SET', KEYS[3], ARGV[3])
redis.call('SET', KEYS[4], ARGV[2])
redis.call('SET', KEYS[5], ARGV[4])
return 1
