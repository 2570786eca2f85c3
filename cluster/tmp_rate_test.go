package cluster

import ("testing";"time";"fmt")

func TestTmpRate(t *testing.T) {
	var s, st int64
	for seed := range uint64(40) {
		inBubble(t, func(t *testing.T) {
			c := newSim(t, seed, 3, func(cfg *Config) { cfg.mutation.read = verifyRead
				cfg.LeaseTimeout, cfg.HeartbeatTimeout, cfg.ElectionTimeout = 150*time.Millisecond, 150*time.Millisecond, 150*time.Millisecond })
			c.calm = true
			c.boot(3)
			c.chaos(seed, 15*time.Second, false)
			c.end()
			s += c.tally.served.Load(); st += c.tally.stale.Load()
		})
	}
	fmt.Println("verify", st, "of", s)
}
