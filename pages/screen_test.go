package pages_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"foyer/foyertest"
)

// screen is a browser that somebody sits in front of.
type screen struct {
	*testing.T
	ctx   context.Context
	axe   string // the rules about accessibility, as a script
	shots string // the folder for pictures; "": none are made
	count int

	mu    sync.Mutex
	wrong []string // what the browser's console says is wrong
}

// newScreen opens a browser.
func newScreen(t *testing.T) *screen {
	t.Helper()
	s := &screen{T: t, shots: os.Getenv("FOYER_SCREENSHOTS")}
	s.must(foyertest.InstallNPM("testdata/axe"))
	axe, err := os.ReadFile("testdata/axe/node_modules/axe-core/axe.min.js")
	s.must(err)
	s.axe = string(axe)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.IgnoreCertErrors, chromedp.Flag("disable-background-networking", true), chromedp.UserDataDir(t.TempDir()))
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, stop := chromedp.NewContext(allocator)
	t.Cleanup(stop)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(cancel)
	s.ctx = ctx
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("no browser starts: %v\nThe test needs chromium: apt-get install chromium", err)
	}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.Type != "debug" && m.Type != "info" && m.Type != "log" {
				s.mu.Lock()
				s.wrong = append(s.wrong, string(m.Type)+": "+m.Text)
				s.mu.Unlock()
			}
		}
	}()
	return s
}

func (s *screen) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *screen) open(address string) {
	s.Helper()
	_, err := chromedp.RunResponse(s.ctx, chromedp.Navigate(address))
	s.must(err)
}

// click presses what a selector names, and waits for the page that comes.
func (s *screen) click(selector string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		s.Fatalf("pressing %s: %v; the page is %s", selector, err, s.text())
	}
}

// do presses what leads to no page.
func (s *screen) do(actions ...chromedp.Action[chromedp.Void]) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		s.Fatalf("%v; the page is %s", err, s.text())
	}
}

func ask[T any](s *screen, script string) T {
	s.Helper()
	v, err := chromedp.Run(s.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	s.must(err)
	return v
}

func (s *screen) text() string { return ask[string](s, "document.body.innerText") }

// says waits until the page says something: a page that is waiting for something asks again by itself.
func (s *screen) says(want string) {
	s.Helper()
	for stop := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		text, err := chromedp.Run(s.ctx, chromedp.Evaluate[string]("document.body ? document.body.innerText : ''"))
		if err == nil && strings.Contains(text, want) {
			return
		}
		if time.Now().After(stop) {
			s.Fatalf("the page does not say %q: %s (%v)", want, text, err)
		}
	}
}

// quiet checks that the console has nothing to complain about, but for pages that failed as they should.
func (s *screen) quiet(page string) {
	s.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, message := range s.wrong {
		if !strings.Contains(message, "Failed to load resource: the server responded with a status of 4") {
			s.Errorf("%s: the console says %s", page, message)
		}
	}
	s.wrong = nil
}

// window makes the window so wide, in light or in dark.
func (s *screen) window(width int64, scheme string) {
	s.Helper()
	s.do(chromedp.EmulateViewport(width, 900), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}))
}

// picture keeps how the page looks.
func (s *screen) picture(name string) {
	s.Helper()
	if s.shots == "" {
		return
	}
	png, err := chromedp.Run(s.ctx, chromedp.FullScreenshot(100))
	s.must(err)
	s.must(os.MkdirAll(s.shots, 0o755))
	s.must(os.WriteFile(filepath.Join(s.shots, name+".png"), png, 0o644))
}

// whatIsWrong looks at the page as it stands: what is wider than the window, what has no label, and what the rules about accessibility say. Of these it leaves out that no page
// may ask again by itself: those that do have a link that stops it.
const whatIsWrong = `(async () => {
	const wrong = [];
	const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
	if (wide > 0) {
		const out = [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + "." + e.className);
		wrong.push("it is " + wide + " pixels too wide: " + out.join(" "));
	}
	for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
		if (!e.labels.length) wrong.push("no label: " + e.outerHTML.slice(0, 100));
	if (!document.documentElement.lang) wrong.push("no lang");
	if (!document.title) wrong.push("no title");
	const found = await axe.run(document, {preload: false, resultTypes: ["violations"], rules: {"meta-refresh": {enabled: false}}});
	for (const v of found.violations) wrong.push(v.id + ": " + v.help + ": " + v.nodes.map(n => n.target + " " + n.failureSummary).join("; "));
	return wrong;
})()`

// focused names what has the focus, and whether that can be seen: by an outline of at least two pixels that is not transparent.
const focused = `(() => {
	const e = document.activeElement;
	if (!e || e === document.body) return {name: ""};
	const style = getComputedStyle(e), box = e.getBoundingClientRect();
	return {name: e.tagName + " " + (e.innerText || e.name || e.id).trim().slice(0, 40), seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && box.width > 0 && box.right > 0 && box.bottom > 0 || e.tagName === "MAIN"};
})()`

// look holds a page, at both widths, in light and in dark, against what every page has to be, and keeps pictures of it.
func (s *screen) look(name string) {
	s.Helper()
	s.count++
	name = fmt.Sprintf("%02d-%s", s.count, name)
	for _, width := range []int64{360, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			s.window(width, scheme)
			at := fmt.Sprintf("%s-%d-%s", name, width, scheme)
			if s.shots == "" && (width == 360) == (scheme == "dark") {
				continue // each width and each scheme once; all four are for whoever looks at the pictures
			}
			ask[chromedp.Void](s, s.axe+"\n;null")
			for _, wrong := range ask[[]string](s, whatIsWrong) {
				s.Errorf("%s: %s", at, wrong)
			}
			s.picture(at)
		}
	}
	s.keyboard(name)
	s.quiet(name)
}

// keyboard walks through the page with the tab key: whatever can be pressed is reached, and is seen to be.
func (s *screen) keyboard(page string) {
	s.Helper()
	want := ask[int](s, `[...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary, [tabindex='0']")].filter(e => e.checkVisibility()).length`) - 1
	ask[chromedp.Void](s, `document.querySelector(".skip").focus(); null`)
	for i := range want {
		s.do(chromedp.KeyEvent("\t"))
		var at struct {
			Name string
			Seen bool
		}
		s.must(json.Unmarshal(ask[[]byte](s, focused), &at))
		if at.Name == "" {
			s.Errorf("%s: %d can be pressed, the tab key reaches %d of them", page, want, i)
			return
		}
		if !at.Seen {
			s.Errorf("%s: nothing shows that %q has the focus", page, at.Name)
		}
	}
}
