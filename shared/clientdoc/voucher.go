package clientdoc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gatehouse/shared/seal"
)

// Voucher is how the broker has a client registered whose document it has read:
// the registration, which has the means to, believes it and nobody else.
type Voucher struct {
	ClientID string    `json:"client_id"`
	From     string    `json:"from"` // the address of the person who brought the client
	Body     []byte    `json:"body"` // SHA-256 of the metadata that go with it
	Expires  time.Time `json:"expires"`
}

const voucherPurpose = "client metadata"

// VoucherLife is how long a voucher is good for: one request.
const VoucherLife = time.Minute

// ErrVoucher is a text that is no voucher for what it came with, or not any
// more.
var ErrVoucher = errors.New("clientdoc: not a voucher for this")

// Vouch returns v as a voucher for metadata, sealed.
func Vouch(ctx context.Context, box *seal.Box, v Voucher, body []byte) (string, error) {
	sum := sha256.Sum256(body)
	v.Body = sum[:]
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("clientdoc: voucher: %w", err)
	}
	return box.SealText(ctx, voucherPurpose, "", text)
}

// Vouched opens a voucher for metadata. The error is [ErrVoucher] or one of the
// box's keys.
func Vouched(ctx context.Context, box *seal.Box, now time.Time, sealed string, body []byte) (Voucher, error) {
	text, err := box.OpenText(ctx, voucherPurpose, "", sealed)
	if errors.Is(err, seal.ErrSealed) {
		return Voucher{}, ErrVoucher
	}
	if err != nil {
		return Voucher{}, err
	}
	var v Voucher
	if err := json.Unmarshal(text, &v); err != nil {
		return Voucher{}, fmt.Errorf("clientdoc: voucher: %w", err)
	}
	sum := sha256.Sum256(body)
	if subtle.ConstantTimeCompare(sum[:], v.Body) != 1 || !now.Before(v.Expires) {
		return Voucher{}, ErrVoucher
	}
	return v, nil
}
