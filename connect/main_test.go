package connect_test

import (
	"testing"

	"foyer/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
