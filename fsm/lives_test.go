package fsm

import "testing"

// TestNewLifeIsHeardAnew: what a region has told in one life says nothing of the next one, whichever way that is learned of: it may have been
// restored to a state in which it still takes the word of an earlier life of a third region.
func TestNewLifeIsHeardAnew(t *testing.T) {
	const a, b, third = "us-east-1", "eu-west-1", "ap-south-1"
	row := func(name string, incarnation uint64) OtherRegion {
		return OtherRegion{
			Name: name, ClusterID: "c", Incarnation: incarnation, CA: []byte{1}, Transport: []byte{1}, Mechanism: 4, Signing: []byte{1}, State: RegionFederated,
		}
	}
	for name, learns := range map[string]func(l *lab) Body{
		"by its description": func(l *lab) Body { return &PutOtherRegion{Region: row(b, 9), Was: l.state().OtherRegion(b).Version} },
		"by its messages":    func(*lab) Body { return &MarkFeed{Region: b, Incarnation: 9} },
	} {
		t.Run(name, func(t *testing.T) {
			l := newRegion(t)
			l.ok(&PutOtherRegion{Region: row(b, 8)})
			l.ok(&PutOtherRegion{Region: row(third, 8)})
			life := l.state().Region().Incarnation() + 1
			l.ok(&BeginIncarnation{Incarnation: life, ClusterID: "c"})
			heard := func(from string, incarnation, thirdLife uint64) {
				l.ok(&MarkFeed{
					Region: from, Incarnation: incarnation, Heard: true, HeardIn: life, Position: uint64(l.index),
					Lives: []RegionLife{{third, thirdLife}, {a, life}},
				})
			}
			heard(b, 8, 8)
			l.ok(&MarkFeed{Region: third, Incarnation: 9}) // the third region was restored as well
			if l.state().Heard(l.state().OtherRegion(b)) {
				t.Fatal("what was told under an earlier life of the third region counts")
			}
			l.ok(learns(l))
			if l.state().Heard(l.state().OtherRegion(b)) {
				t.Error("a region counts as heard that has told nothing in its present life")
			}
			heard(b, 9, 8)
			if l.state().Heard(l.state().OtherRegion(b)) || !l.state().Unheard() {
				t.Error("a region counts as heard that takes the word of an earlier life of the third one")
			}
			heard(b, 9, 9)
			heard(third, 9, 9)
			if l.state().Unheard() {
				t.Error("not heard in the end")
			}
		})
	}
}
