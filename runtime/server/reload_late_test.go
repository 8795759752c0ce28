package server_test

import (
	"crypto/tls"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/admin"
)

// A configuration whose files come after it is taken by itself when they are there; that they
// are not is said once.
func TestFilesThatComeAfterTheConfiguration(t *testing.T) {
	s := open(t, "auto")
	ca := newFleet(t)
	late := func(name string) string { return strings.Replace(ca.cert, "server", name, 1) }
	s.configure("plugins:\n", `  - {name: late, address: "127.0.0.1:0", tls: {cert: `+late("late")+`, key: `+late("late-key")+`}, frame: line, topic: t, acknowledge: "", chain: [guest]}`+"\nplugins:\n")
	s.FileChanged(s.path("weft.yaml"))
	for range 2 {
		if err := s.ReadAgain(); err == nil || !strings.Contains(err.Error(), "no such file") {
			t.Fatal(err)
		}
	}
	refused := func(times int) {
		t.Helper()
		if st := s.ConfigStatus(); st.Refused != uint64(times) || st.Last.Result != admin.ReloadRefused || st.Good {
			t.Errorf("%+v", st)
		}
		if n := strings.Count(s.log.String(), "was refused"); n != times {
			t.Errorf("it is logged %d times that it was refused", n)
		}
	}
	refused(1)
	copied := func(from, to string) {
		t.Helper()
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to+".new", b, 0o600)
		}
		if err == nil {
			err = os.Rename(to+".new", to) // half of one would be another reason
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	copied(ca.cert, late("late"))
	if err := s.ReadAgain(); err == nil {
		t.Fatal("it was taken without a key")
	}
	refused(2) // for another reason
	copied(ca.key, late("late-key"))
	for end := time.Now().Add(time.Minute); s.ConfigStatus().Applied == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it was not taken up: %+v\n%s", s.ConfigStatus(), s.log)
		}
	}
	if err := s.ReadAgain(); err != nil {
		t.Error(err)
	}
	if st := s.ConfigStatus(); !st.Good || st.Applied != 1 || st.Unchanged != 0 || st.Refused != 2 || st.Last.By != admin.ByFile {
		t.Errorf("%+v", st)
	}
	if err := secure(s.dial("late"), ca.client(false)).Conn.(*tls.Conn).Handshake(); err != nil {
		t.Error(err)
	}
}

// So it is where somebody was asked to read it before it was noticed that it has changed.
func TestFilesThatComeAfterASignal(t *testing.T) {
	s := open(t, "auto")
	ca := newFleet(t)
	late := strings.Replace(ca.cert, "server", "late", 1)
	s.configure("plugins:\n", `  - {name: late, address: "127.0.0.1:0", tls: {cert: `+late+`, key: `+ca.key+`}, frame: line, topic: t, acknowledge: "", chain: [guest]}`+"\nplugins:\n")
	if _, err := s.ReloadConfig(t.Context(), admin.BySignal); err == nil {
		t.Fatal("it was taken without a certificate")
	}
	s.FileChanged(s.path("weft.yaml"))
	b, err := os.ReadFile(ca.cert)
	if err == nil {
		err = os.WriteFile(late, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); s.ConfigStatus().Applied == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it was not taken up: %+v\n%s", s.ConfigStatus(), s.log)
		}
	}
}

// What has taken effect in part only is not said to be as it was, and not begun once more.
func TestReloadInPart(t *testing.T) {
	s := open(t, "auto")
	s.configure("plugins:\n", `  - {name: late, address: "127.0.0.1:0", frame: line, topic: t, acknowledge: "", chain: [guest]}`+"\nplugins:\n")
	free := s.Occupy(0)
	s.FileChanged(s.path("weft.yaml"))
	free()
	st := s.ConfigStatus()
	if said := strings.Join(st.Last.Problems, "\n"); st.Good || st.Refused != 1 || !strings.Contains(said, "in part: start weft again") {
		t.Errorf("%+v", st)
	}
	if strings.Contains(s.log.String(), "the former one goes on") {
		t.Errorf("it says that nothing has changed:\n%s", s.log)
	}
	time.Sleep(3 * time.Second) // it would be read again meanwhile
	if again := s.ConfigStatus(); again.Last.At != st.Last.At || again.Applied != 0 {
		t.Errorf("%+v", again)
	}
}
