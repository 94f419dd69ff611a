package io.spladelucene.fields;

/** A value does not fit the type of its field. The message says which value, and what would fit. */
public final class WrongValue extends Exception {
  private static final long serialVersionUID = 1L;

  WrongValue(String message) {
    super(message);
  }
}
