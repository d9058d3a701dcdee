package store_test

import (
	"testing"

	"github.com/maestro-es/maestro/store"
	"github.com/maestro-es/maestro/store/storetest"
)

func TestMemoryConforms(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return store.NewMemory(4) })
}
