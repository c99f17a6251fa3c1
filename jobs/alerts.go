package jobs

import (
	"context"
	"errors"
	"log/slog"

	"foyer/notify"
	"foyer/store"
)

// announce logs which alerts opened and ended, and has the messages made (R27). The log gets ids only.
func (r *Runner) announce(ctx context.Context) error {
	for {
		news, err := r.Store.TakeNews(ctx, r.caller)
		for i := range news {
			r.logNews(ctx, &news[i])
		}
		if err != nil || len(news) == 0 {
			return err
		}
	}
}

func (r *Runner) logNews(ctx context.Context, n *store.News) {
	level, message := slog.LevelWarn, "alert"
	if n.Over {
		level, message = slog.LevelInfo, "alert over"
	}
	attrs := []slog.Attr{slog.String("org", n.Org.Slug), slog.String("alert", n.Alert.ID.String()), slog.String("kind", string(n.Alert.Kind))}
	if n.Alert.Source != 0 {
		attrs = append(attrs, slog.String("source", n.Alert.Source.String()))
	}
	if n.Alert.Run != 0 {
		attrs = append(attrs, slog.String("run", n.Alert.Run.String()))
	}
	if n.Alert.Key != "" {
		attrs = append(attrs, slog.String("key", string(n.Alert.Key)))
	}
	r.Log.LogAttrs(ctx, level, message, attrs...)
}

// mailBatch is how many messages are taken, and sent over one connection, at once: so many that a slow server is done with them before
// another process may take them (store.MailLease).
const mailBatch = 20

// sendMail gives up the messages that are too old, and sends those that are due. It ends for this time when a whole batch fails.
func (r *Runner) sendMail(ctx context.Context) error {
	dropped, failed := r.Store.DropMail(ctx, r.caller)
	if r.Mailer == nil {
		return failed
	}
	for i := range dropped {
		r.Log.Warn("a message about an alert could not be sent, and is given up", "org", dropped[i].Org.Slug, "alert", dropped[i].Alert.ID.String(), "attempts", dropped[i].Attempts)
	}
	for ctx.Err() == nil {
		mails, err := r.Store.TakeMail(ctx, r.caller, mailBatch)
		if len(mails) > 0 {
			err = errors.Join(err, r.sendBatch(ctx, mails))
		}
		if failed = errors.Join(failed, err); err != nil || len(mails) == 0 {
			return failed
		}
	}
	return failed
}

// sendBatch sends messages, and notes what became of each, also when ctx ends meanwhile. It fails where none was sent, or one could not be noted.
func (r *Runner) sendBatch(ctx context.Context, mails []store.Mail) error {
	letters := make([]notify.Mail, len(mails))
	for i, m := range mails {
		letters[i] = notify.AlertMail(notify.Notice{Org: m.Org, Alert: m.Alert, Over: m.Over, Contact: m.Contact})
	}
	results := r.Mailer.Send(ctx, letters)
	ctx = context.WithoutCancel(ctx)
	var unsent, unnoted error
	sent := 0
	for i := range mails {
		note := r.Store.MailSent
		if results[i] == nil {
			sent++
		} else {
			unsent, note = errors.Join(unsent, results[i]), r.Store.MailFailed
		}
		unnoted = errors.Join(unnoted, note(ctx, r.caller, &mails[i]))
	}
	if sent == 0 || unnoted != nil {
		return errors.Join(unsent, unnoted)
	}
	if unsent != nil {
		r.Log.Warn("some messages about alerts were not sent; they are tried again", "sent", sent, "of", len(mails), "error", unsent)
	}
	return nil
}
