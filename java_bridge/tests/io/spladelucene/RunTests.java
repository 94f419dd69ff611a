package io.spladelucene;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.EngineFilter;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * Runs JUnit tests and writes what happened, a JSON object a line: class, name, status, trace. It
 * uses JUnit's launcher only, so that it runs with any packaging of JUnit 5.
 */
public final class RunTests implements TestExecutionListener {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final List<String> lines = new ArrayList<>();

  private RunTests() {}

  /** Arguments: the file to write, and the names of the test classes. */
  public static void main(String[] arguments) throws IOException {
    LauncherDiscoveryRequestBuilder request =
        LauncherDiscoveryRequestBuilder.request()
            .selectors(
                Arrays.stream(arguments).skip(1).map(DiscoverySelectors::selectClass).toList());
    if (RunTests.class.getResource("/org/junit/Test.class") == null) {
      request.filters(EngineFilter.includeEngines("junit-jupiter")); // the other needs JUnit 4
    }
    RunTests listener = new RunTests();
    LauncherFactory.create().execute(request.build(), listener);
    Files.write(Path.of(arguments[0]), listener.lines);
    System.exit(0); // whatever threads a failed test has left
  }

  @Override
  public void executionFinished(TestIdentifier test, TestExecutionResult result) {
    boolean isSuccessful = result.getStatus() == TestExecutionResult.Status.SUCCESSFUL;
    if (test.isTest() || !isSuccessful) {
      String trace = result.getThrowable().map(RunTests::traceOf).orElse("");
      write(test, result.getStatus().toString(), trace);
    }
  }

  @Override
  public void executionSkipped(TestIdentifier test, String reason) {
    write(test, "SKIPPED", reason);
  }

  private void write(TestIdentifier test, String status, String trace) {
    String type =
        test.getSource()
            .map(
                source ->
                    switch (source) {
                      case MethodSource method -> method.getClassName();
                      case ClassSource whole -> whole.getClassName();
                      default -> "";
                    })
            .orElse("");
    try {
      lines.add(
          JSON.writeValueAsString(
              Map.of(
                  "class", type, "name", test.getDisplayName(), "status", status, "trace", trace)));
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  private static String traceOf(Throwable error) {
    StringWriter trace = new StringWriter();
    error.printStackTrace(new PrintWriter(trace));
    return trace.toString();
  }
}
