package io.spladelucene.wire;

/** Rows of texts: int rows; per row, per column: int length, UTF-8 bytes. */
public final class PackedTable {
  private final PackedWriter rows = new PackedWriter();
  private int count = 0;

  /** Adds a row. All rows of a table have the same number of columns. */
  public void addRow(String... columns) {
    for (String column : columns) {
      rows.writeString(column);
    }
    count++;
  }

  /** The packed table. */
  public byte[] toByteArray() {
    PackedWriter out = new PackedWriter();
    out.writeInt(count);
    out.writeRaw(rows.toByteArray());
    return out.toByteArray();
  }
}
